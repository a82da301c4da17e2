// Threads with generics, closures, trait objects and panics that are caught.
use std::collections::HashMap;
use std::time::{Duration, Instant};
use std::{env, panic, thread};

trait Cost {
    fn cost(&self) -> f64;
}
struct Root(f64);
impl Cost for Root {
    #[inline(never)]
    fn cost(&self) -> f64 {
        (0..200).fold(self.0, |sum, i| (sum + i as f64).sqrt())
    }
}

#[inline(never)]
fn sum_by<T, F: Fn(&T) -> u64>(values: &[T], f: F) -> u64 {
    values.iter().map(|v| f(v)).sum()
}

#[inline(never)]
fn descend(depth: u32, kept: &mut Vec<u64>) -> u64 {
    if depth == 0 {
        return kept.iter().sum();
    }
    kept.push(u64::from(depth) * 31);
    let below = descend(depth - 1, kept);
    kept.pop();
    below ^ u64::from(depth)
}

#[inline(never)]
fn caught(n: u64) -> u64 {
    panic::catch_unwind(|| if n % 3 == 0 { panic!("three") } else { n }).unwrap_or(7)
}

fn work(mut seed: u64, end: Instant) -> u64 {
    while Instant::now() < end {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for i in 0..300 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *counts.entry(format!("k{}", seed >> 54)).or_insert(0) += i;
        }
        let mut sorted: Vec<_> = counts.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        seed ^= sum_by(&sorted, |(k, n)| k.len() as u64 * n);
        seed ^= descend(100, &mut Vec::new()) ^ caught(seed);
        let costs: Vec<Box<dyn Cost>> =
            (0..50).map(|i| Box::new(Root(f64::from(i))) as Box<dyn Cost>).collect();
        seed ^= costs.iter().map(|c| c.cost()).sum::<f64>() as u64;
    }
    seed
}

fn main() {
    let seconds: f64 = env::args().nth(1).unwrap().parse().unwrap();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    panic::set_hook(Box::new(|_| {}));
    let threads: Vec<_> = (0..3).map(|i| thread::spawn(move || work(i, end))).collect();
    for t in threads {
        t.join().unwrap();
    }
}
