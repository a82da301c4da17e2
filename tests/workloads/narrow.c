/* A 32-bit program that needs no 32-bit library: gcc -m32 -nostdlib -static -ffreestanding. */
static volatile unsigned sink;

__attribute__((noipa)) static unsigned narrow_leaf(unsigned x)
{
	for (int i = 0; i < 2000; i++)
		x = x * 1664525u + 1013904223u + (x >> 7);
	return x;
}

/* Its frame is larger the deeper it gets: the frame pointer is the way out of it. */
__attribute__((noipa)) static unsigned narrow_vla(unsigned x, unsigned n)
{
	volatile unsigned words[n];

	words[n - 1] = narrow_leaf(x);
	return words[n - 1] + 1;
}

__attribute__((noipa)) static unsigned narrow_descend(unsigned x, unsigned depth)
{
	if (depth == 0)
		return narrow_leaf(x);
	sink = narrow_descend(x + depth, depth - 1);
	return narrow_vla(sink, depth);
}

void narrow_main(void);
__attribute__((noipa)) void narrow_main(void)
{
	for (unsigned i = 0; i < 3000; i++)
		sink = narrow_descend(i, 50);
	__asm__ volatile("int $0x80" ::"a"(1), "b"(0)); /* exit(0) */
}

/* The kernel enters a program without a return address, and says nothing of its frame. */
__asm__("	.globl _start\n"
	"_start:\n"
	"	xorl %ebp, %ebp\n"
	"	andl $-16, %esp\n"
	"	call narrow_main\n");
