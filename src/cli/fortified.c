/* SPDX-License-Identifier: Apache-2.0
 *
 * fortified.c - what libraries that were compiled for glibc call, for a program with musl
 *
 * How it works: distributions compile with _FORTIFY_SOURCE, which makes calls such as __snprintf_chk out of
 * snprintf. Those exist in glibc alone; here they are the plain function. (The build tries whether these
 * suffice, and links with glibc where they do not: tools/cc-musl.)
 */
#include <stdio.h>
#ifndef __GLIBC__
#include <stdarg.h>
#include <string.h>

int __fprintf_chk(FILE *f, int flag, const char *format, ...);
int __snprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, va_list list);
char *__strncpy_chk(char *to, const char *from, size_t n, size_t room);

int __fprintf_chk(FILE *f, int flag, const char *format, ...)
{
	va_list list;
	int n;

	(void)flag;
	va_start(list, format);
	n = vfprintf(f, format, list);
	va_end(list);
	return n;
}

int __vsnprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, va_list list)
{
	(void)flag;
	return vsnprintf(to, n < room ? n : room, format, list);
}

int __snprintf_chk(char *to, size_t n, int flag, size_t room, const char *format, ...)
{
	va_list list;
	int r;

	va_start(list, format);
	r = __vsnprintf_chk(to, n, flag, room, format, list);
	va_end(list);
	return r;
}

char *__strncpy_chk(char *to, const char *from, size_t n, size_t room)
{
	return strncpy(to, from, n < room ? n : room);
}
#endif
