/* empty-proc-modules PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM on a kernel that has no module support, and so no /proc/modules, as if that file were
 * there and empty: every open of it is answered with an empty memory file. Nothing else is touched.
 *
 * A seccomp filter in the child sends each openat(2) to the parent (user notification). The parent
 * reads the path from the child's memory; "/proc/modules" gets the memory file, every other call goes
 * on in the kernel as it was. The parent passes signals on and ends with the child's exit code.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char wanted[] = "/proc/modules";
static pid_t child;

static void fail(const char *what)
{
	fprintf(stderr, "empty-proc-modules: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void pass_on(int signal)
{
	if (child > 0)
		kill(child, signal);
}

/* Give the child's listener to the parent: the descriptor travels over a socket pair. */
static void send_fd(int socket, int fd)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	if (sendmsg(socket, &message, 0) != 1)
		fail("sendmsg");
}

static int receive_fd(int socket)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *head;
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !(head = CMSG_FIRSTHDR(&message)))
		return -1; /* the child ended before it could send */
	memcpy(&fd, CMSG_DATA(head), sizeof(int));
	return fd;
}

static void run_child(int socket, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
	int listener;

	/* Without the parent nobody would answer: the child must not outlive it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		fail("prctl");
	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	if (listener < 0)
		fail("seccomp user notification");
	send_fd(socket, listener);
	close(listener);
	close(socket);
	execv(argv[0], argv);
	fail(argv[0]);
}

static void answer(int listener, int empty, const struct seccomp_notif *request)
{
	char path[sizeof(wanted)] = {0};
	struct iovec mine = {path, sizeof(path)}, theirs = {(void *)request->data.args[1], sizeof(path)};
	struct seccomp_notif_addfd file = {
		.id = request->id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = empty, .newfd_flags = O_CLOEXEC};
	struct seccomp_notif_resp go_on = {.id = request->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	/* A path shorter than ours may end where readable memory does: a short read is no match. */
	if (process_vm_readv(request->pid, &mine, 1, &theirs, 1, 0) == (ssize_t)sizeof(path) &&
	    memcmp(path, wanted, sizeof(wanted)) == 0 && ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &file) >= 0)
		return;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on); /* ENOENT: the caller is gone, nothing to answer */
}

int main(int argc, char **argv)
{
	int pair[2], listener, empty, status;
	struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
	struct pollfd waiting;

	if (argc < 2) {
		fprintf(stderr, "usage: empty-proc-modules PROGRAM [ARGUMENT...]\n");
		return 125;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		fail("socketpair");
	if ((empty = memfd_create("proc-modules", MFD_CLOEXEC)) < 0)
		fail("memfd_create");
	if ((child = fork()) < 0)
		fail("fork");
	if (child == 0) {
		close(pair[0]);
		close(empty);
		run_child(pair[1], argv + 1);
	}
	close(pair[1]);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGQUIT, &action, NULL);
	listener = receive_fd(pair[0]);
	waiting = (struct pollfd){listener, POLLIN, 0};
	/* POLLHUP: the last process under the filter has ended. */
	while (listener >= 0 && (poll(&waiting, 1, -1) >= 0 || errno == EINTR)) {
		struct seccomp_notif request = {0};

		if (waiting.revents & POLLIN && ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0)
			answer(listener, empty, &request);
		else if (waiting.revents & (POLLHUP | POLLERR | POLLNVAL))
			break;
		waiting.revents = 0;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
