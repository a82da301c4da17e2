import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Work in many methods on two threads, for SECONDS: recursion, collections, lambdas, interfaces, regular
 * expressions, garbage. */
public class JitWork {
	interface Shape {
		double area();
	}

	record Square(double side) implements Shape {
		public double area() {
			return side * side;
		}
	}

	record Wave(double length) implements Shape {
		public double area() {
			return Math.sin(length) * length;
		}
	}

	static final Pattern PAIR = Pattern.compile("(\\w+)=(\\w+)");
	static volatile Object kept;

	static int fib(int n) {
		return n < 2 ? n : fib(n - 1) + fib(n - 2);
	}

	static int sorted(int n) {
		List<String> list = new ArrayList<>();
		for (int i = 0; i < n; i++)
			list.add("x" + i * 7919 % n);
		return list.stream().sorted().map(s -> s + "y").collect(Collectors.joining()).length();
	}

	static int regexps(int n) {
		int length = 0;
		for (int i = 0; i < n; i++)
			length += PAIR.matcher("key" + i + "=value").replaceAll("$2:$1").length();
		return length;
	}

	static int maps(int n) {
		Map<Integer, Integer> map = new HashMap<>();
		for (int i = 0; i < n; i++)
			map.merge(i % 977, i, Integer::sum);
		return map.size();
	}

	static double shapes(int n) {
		double sum = 0;
		for (int i = 0; i < n; i++) {
			Shape s = i % 3 == 0 ? new Square(i) : new Wave(i);
			sum += s.area();
		}
		return sum;
	}

	static void garbage(int n) {
		for (int i = 0; i < n; i++)
			kept = new Object[] {i % 100 == 0 ? null : kept, new int[10]};
	}

	public static void main(String[] args) throws InterruptedException {
		long end = System.nanoTime() + (long)(Double.parseDouble(args[0]) * 1e9);
		Thread other = new Thread(() -> {
			while (System.nanoTime() < end)
				kept = fib(20) + shapes(5000);
		}, "other");
		other.start();
		while (System.nanoTime() < end) {
			kept = maps(20000) + sorted(2000) + regexps(500);
			garbage(10000);
		}
		other.join();
		System.out.println(kept != null);
	}
}
