/* Run Python code in an interpreter that is loaded when the program has started:
 * embed LIBPYTHON CODE [threads]. With the last, a thread runs before that. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *sleeps(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	void (*initialize)(int);
	void *library;
	int (*run)(const char *), (*finalize)(void), ret;
	pthread_t thread;

	if (argc > 3)
		pthread_create(&thread, NULL, sleeps, NULL);
	library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!library) {
		fprintf(stderr, "cannot load a library of Python: %s\n", dlerror());
		return 125;
	}
	*(void **)&initialize = dlsym(library, "Py_InitializeEx");
	*(void **)&run = dlsym(library, "PyRun_SimpleString");
	*(void **)&finalize = dlsym(library, "Py_FinalizeEx");
	initialize(0);
	ret = run(argv[2]);
	ret |= finalize();
	/* It goes while its events still signal. */
	dlclose(library);
	for (volatile int i = 0; i < 20000000; i++)
		;
	return ret;
}
