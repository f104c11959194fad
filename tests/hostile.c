/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile.c - all the harm that code inside can do to its own sandbox
 *
 * usage: hostile all | stopped | bomb | descriptors | full | quick
 *
 * How it works: each deed prints its name when it was done; what is refused is not printed, and no
 * failure. Processes that stay hold on to what was made: sockets, leases, deleted files. The root of
 * the file system goes last, since nothing can be named after it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void did(const char *what, bool done)
{
	if (done)
		puts(what);
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool well = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return well;
}

/* ---- processes that stay -------------------------------------------------------------------------- */

static void quiet(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int i = 0; i < 3; i++)
		dup2(null, i);
}

/* Goes on in a process that ignores what can be ignored and whose parent is gone. Return: in it. */
static bool stay(void)
{
	pid_t pid = fork();

	if (pid) {
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return false;
	}
	setsid();
	if (fork())
		_exit(0);
	for (int sig = 1; sig < 65; sig++)
		signal(sig, SIG_IGN);
	quiet();
	return true;
}

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

static void jobs(void)
{
	for (int i = 0; i < 5; i++)
		if (stay())
			sleep_for_ever();
	if (stay()) {
		raise(SIGSTOP);
		sleep_for_ever();
	}
	did("jobs", true);
}

/* ---- what is not files ---------------------------------------------------------------------------- */

static void ipc(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
	struct {
		long type;
		char text[8];
	} m = {1, "left"};
	int id = shmget(4711, 65536, IPC_CREAT | 0666);

	did("segment", id >= 0 && shmat(id, NULL, 0) != (void *)-1);
	did("semaphores", semget(4712, 3, IPC_CREAT | 0666) >= 0);
	id = msgget(4713, IPC_CREAT | 0666);
	did("messages", id >= 0 && msgsnd(id, &m, sizeof(m.text), IPC_NOWAIT) == 0);
	did("queue", syscall(SYS_mq_open, "left", O_CREAT | O_RDWR, 0600, &attr) >= 0);
	did("memory", put("/dev/shm/left", "left"));
}

static int bound(int family, int type, const void *address, socklen_t len)
{
	int fd = socket(family, type, 0);

	return fd >= 0 && bind(fd, address, len) == 0 && (type == SOCK_DGRAM || listen(fd, 5) == 0) ? fd : -1;
}

/* Held by whoever stays after this. */
static void sockets(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/socket"};
	int fd;

	did("listener", bound(AF_INET, SOCK_STREAM, &in, sizeof(in)) >= 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	did("connection", connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	did("datagrams", bound(AF_INET, SOCK_DGRAM, &in, sizeof(in)) >= 0);
	did("path", bound(AF_UNIX, SOCK_STREAM, &un, sizeof(un)) >= 0);
	un = (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "\0left"};
	did("abstract", bound(AF_UNIX, SOCK_STREAM, &un, sizeof(un)) >= 0);
}

static void settings(void)
{
	static const char *const names[] = {"kernel/msgmax", "kernel/shm_rmid_forced", "kernel/sem", "fs/mqueue/queues_max",
					    "net/ipv4/ip_forward", "net/core/somaxconn", "net/ipv4/conf/lo/forwarding",
					    "net/ipv4/ping_group_range", "net/ipv4/ip_unprivileged_port_start"};
	char path[128];
	bool any = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "/proc/sys/%s", names[i]);
		any |= put(path, i == 7 ? "5 6" : i == 2 ? "1 2 3 4" : "1");
	}
	did("sysctl", any);
	did("hostname", sethostname("evil", 4) == 0);
	did("domain", setdomainname("evil", 4) == 0);
	did("mount", mount("none", "/mnt", "tmpfs", 0, NULL) == 0 || mount("none", "/home", "tmpfs", 0, NULL) == 0);
	did("bind", mount("/etc", "/srv", NULL, MS_BIND, NULL) == 0);
	did("umount", umount2("/dev/shm", MNT_DETACH) == 0);
	did("limits", setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}) == 0);
}

/* ---- files ---------------------------------------------------------------------------------------- */

static void many_files(void)
{
	char path[64], other[64];
	int n = 0;

	mkdir("/junk", 0777);
	for (int i = 0; i < 10000; i++) {
		snprintf(path, sizeof(path), "/junk/%d", i / 100);
		if (i % 100 == 0)
			mkdir(path, 0777);
		snprintf(path, sizeof(path), "/junk/%d/%d", i / 100, i);
		n += put(path, path);
	}
	did("10,000 files", n == 10000);
	snprintf(other, sizeof(other), "/junk/hard");
	did("links", link("/junk/1/150", other) == 0 && symlink("/junk", "/soft") == 0);
	did("fifo", mkfifo("/junk/fifo", 0666) == 0);
	did("deep", mkdir("/junk/a", 0) == 0);
}

/* Held by whoever stays after this: a lease, a lock, files without a name, one that is mapped. */
static void held_files(void)
{
	int fd = open("/tmp/lease", O_RDWR | O_CREAT, 0600), gone = open("/tmp/gone", O_RDWR | O_CREAT, 0600);

	did("lease", fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
	did("lock", gone >= 0 && fcntl(gone, F_SETLK, &(struct flock){.l_type = F_WRLCK}) == 0);
	did("mapped", ftruncate(gone, 1 << 20) == 0 && unlink("/tmp/gone") == 0 &&
	    mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0) != MAP_FAILED);
	did("nameless", open("/var/tmp", O_TMPFILE | O_RDWR, 0600) >= 0);
}

static void forbidden(void)
{
	int flags = FS_IMMUTABLE_FL | FS_APPEND_FL, fd = open("/tmp/fixed", O_RDWR | O_CREAT, 0600);

	did("immutable", fd >= 0 && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
	did("device", mknod("/junk/null", S_IFCHR | 0666, 0x103) == 0);
	did("attribute", setxattr("/etc", "user.left", "x", 1, 0) == 0);
	did("trusted", setxattr("/etc", "trusted.overlay.opaque", "y", 1, 0) == 0);
	did("overlay", setxattr("/etc", "user.overlay.opaque", "y", 1, 0) == 0);
}

static void passwd(void)
{
	did("passwd", unlink("/etc/passwd") == 0 && mkfifo("/etc/passwd", 0666) == 0);
	did("group", put("/etc/group", "root:x:7:\n"));
	did("resolver", put("/etc/resolv.conf", "evil\n") && put("/etc/hosts", "evil\n"));
	did("cow", put("/cow/file", "evil") && put("/cow/new", "evil"));
	did("one", access("/one", F_OK) == 0 && put("/one", "evil"));
}

static int remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *x;
	char below[4096];
	int n = 0;

	while (d && (x = readdir(d))) {
		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, x->d_name);
		if (unlink(below) == 0 || (errno == EISDIR && (n += remove_all(below), rmdir(below) == 0)))
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

static void tree(void)
{
	static const char *const tops[] = {"/etc", "/root", "/home", "/srv", "/var", "/tmp", "/opt", "/run"};

	did("programs", remove_all("/usr") > 10);
	did("links to programs", unlink("/bin") == 0 && unlink("/lib64") == 0);
	did("moved", rename("/etc/os-release", "/junk/moved") == 0);
	did("owner", chown("/", 1000, 1000) == 0 && chown("/etc", 1000, 1000) == 0);
	for (size_t i = 0; i < sizeof(tops) / sizeof(*tops); i++)
		(void)!chmod(tops[i], 0);
	did("root", chmod("/", 0) == 0);
}

static void all(void)
{
	jobs();
	ipc();
	sockets();
	held_files();
	many_files();
	forbidden();
	passwd();
	fflush(stdout);
	if (stay())
		sleep_for_ever(); /* with all that is open */
	settings();
	tree();
}

/* ---- other ways ----------------------------------------------------------------------------------- */

static void stopped(void)
{
	fflush(stdout);
	for (int i = 0; i < 20; i++)
		if (stay()) {
			if (fork() == 0)
				raise(SIGSTOP);
			raise(SIGSTOP);
			sleep_for_ever();
		}
	usleep(50000);
	did("stopped", kill(-1, SIGSTOP) == 0);
}

/* A hundred lines of processes, each of which forks and ends at once: nobody can name one of them. */
static void bomb(void)
{
	unsigned *forks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	fflush(stdout);
	for (int i = 0; i < 100; i++)
		if (stay())
			for (;;) {
				pid = fork();
				if (pid > 0)
					_exit(0);
				if (pid == 0)
					__atomic_fetch_add(forks, 1, __ATOMIC_RELAXED);
			}
	for (int i = 0; i < 1000 && __atomic_load_n(forks, __ATOMIC_RELAXED) < 500; i++)
		usleep(10000);
	did("bomb", __atomic_load_n(forks, __ATOMIC_RELAXED) >= 500);
}

static void descriptors(void)
{
	struct rlimit most;
	int ends[2], n = 0;

	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	fflush(stdout);
	for (int i = 0; i < 4; i++)
		if (stay()) {
			while (n++ < 5000 && (i % 2 ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) == 0)
				;
			while (open("/dev/null", O_RDONLY) >= 0 && n++ < 20000)
				;
			sleep_for_ever();
		}
	usleep(300000);
	did("descriptors", true);
}

static void full(void)
{
	static char piece[1 << 16];
	static const char *const where[] = {"/big", "/dev/shm/big"};
	char path[64];
	bool well = false;

	for (int i = 0; i < 2; i++) {
		int fd = open(where[i], O_WRONLY | O_CREAT, 0600);

		for (int k = 0; fd >= 0 && k < 4096 && write(fd, piece, sizeof(piece)) > 0; k++)
			;
		well |= i == 0 && fd >= 0 && write(fd, piece, 1) < 0 && errno == ENOSPC;
	}
	did("full", well);
	mkdir("/small", 0777);
	for (int i = 0; i < 300000; i++) { /* and no file more */
		snprintf(path, sizeof(path), "/small/%d", i);
		if (symlink("x", path) < 0)
			break;
	}
	did("no file more", symlink("x", "/last") < 0 && errno == ENOSPC);
}

enum { LANES = 4, LANE_SECONDS = 30 };

/* Each process lives only until it has made the next, which leaves its session. */
static void quick(void)
{
	struct timespec t;
	time_t end;

	quiet();
	clock_gettime(CLOCK_MONOTONIC, &t);
	end = t.tv_sec + LANE_SECONDS;
	for (int i = 1; i < LANES; i++)
		if (fork() == 0)
			break;
	while (t.tv_sec < end) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		if (pid == 0)
			setsid();
		clock_gettime(CLOCK_MONOTONIC, &t);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} ways[] = {{"all", all}, {"stopped", stopped}, {"bomb", bomb}, {"descriptors", descriptors}, {"full", full},
		    {"quick", quick}};

	for (size_t i = 0; argc == 2 && i < sizeof(ways) / sizeof(*ways); i++)
		if (strcmp(ways[i].name, argv[1]) == 0) {
			ways[i].fn();
			return 0;
		}
	fputs("usage: hostile all | stopped | bomb | descriptors | full | quick\n", stderr);
	return 2;
}
