// A load generator for chat completions, whole or streamed: one thread, epoll, HTTP/1.1 keep-alive.
//
//   cc -O2 -o loadgen loadgen.c
//   ./loadgen HOST PORT PATH BODYFILE CONNECTIONS SECONDS|nREQUESTS [HEADER ...]
//
// Each connection sends the next request when the answer to the last one is complete. Prints JSON:
// requests, rps, errors, latency of whole answers, time to the first byte of the body, gaps between
// the reads of one body (all in microseconds), connections that had to be opened again.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_LIMIT (1 << 20)
#define FIGURES_LIMIT 4000000

typedef struct {
  int fd, chunked;
  char *data;
  size_t length, head;
  long body;
  double sent_us, first_us, last_us;
} Connection;

typedef struct {
  double *values;
  long count;
} Figures;

static char *request, first_error[400];
static size_t request_length;
static struct sockaddr_in address;
static int poll_fd;
static long errors, refused, reopened, bytes;
static Figures latency, first_byte, gap;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void keep(Figures *figures, double value) {
  if (!figures->values) figures->values = malloc(FIGURES_LIMIT * sizeof(double));
  if (figures->count < FIGURES_LIMIT) figures->values[figures->count++] = value;
}

static int ascending(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return d < 0 ? -1 : d > 0;
}

static double quantile(const Figures *figures, double p) {
  return figures->count ? figures->values[(long)(p * (figures->count - 1))] : 0;
}

static void connect_again(Connection *c) {
  int one = 1;
  if (c->fd >= 0) {
    close(c->fd);
    reopened++;
  }
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (void *)&address, sizeof address)) {
    perror("connect");
    exit(2);
  }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void send_request(Connection *c) {
  c->length = c->head = 0;
  c->body = -1;
  c->chunked = 0;
  c->first_us = 0;
  c->sent_us = now_us();
  for (size_t sent = 0; sent < request_length;) {
    ssize_t n = send(c->fd, request + sent, request_length - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += n;
    } else if (errno != EAGAIN) {
      errors++;
      connect_again(c);
      sent = 0;
    }
  }
}

static void read_head(Connection *c) {
  char *end = memmem(c->data, c->length, "\r\n\r\n", 4);
  if (!end) return;
  *end = 0;
  c->head = end - c->data + 4;
  char *length = strcasestr(c->data, "\r\ncontent-length:");
  if (length) c->body = atol(length + 17);
  c->chunked = strcasestr(c->data, "\r\ntransfer-encoding: chunked") != NULL;
  *end = '\r';
  if (strncmp(c->data + 9, "200", 3) && !refused++)
    snprintf(first_error, sizeof first_error, "%.390s", c->data);
}

static void note_read(Connection *c, double at) {
  if (!c->first_us)
    c->first_us = at;
  else
    keep(&gap, at - c->last_us);
  c->last_us = at;
}

static int complete(const Connection *c) {
  size_t body = c->length - c->head;
  if (!c->head) return 0;
  if (c->chunked) return body >= 5 && !memcmp(c->data + c->length - 5, "0\r\n\r\n", 5);
  return c->body >= 0 && body >= (size_t)c->body;
}

static void finish(Connection *c, double at) {
  keep(&latency, at - c->sent_us);
  keep(&first_byte, (c->first_us ? c->first_us : at) - c->sent_us);
  c->data[c->head - 1] = 0;
  int closes = strcasestr(c->data, "\r\nconnection: close") != NULL;
  c->data[c->head - 1] = '\n';
  if (closes) connect_again(c);
}

static void receive(Connection *c) {
  ssize_t n = recv(c->fd, c->data + c->length, ANSWER_LIMIT - 1 - c->length, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    errors++;
    connect_again(c);
    send_request(c);
    return;
  }
  double at = now_us();
  bytes += n;
  c->length += n;
  c->data[c->length] = 0;
  if (!c->head) read_head(c);
  if (c->head && c->length > c->head) note_read(c, at);
  if (complete(c)) {
    finish(c, at);
    send_request(c);
  }
}

static void make_request(char **args, int count) {
  FILE *file = fopen(args[4], "r");
  if (!file) {
    perror(args[4]);
    exit(2);
  }
  char *body = malloc(ANSWER_LIMIT);
  size_t length = fread(body, 1, ANSWER_LIMIT, file), at;
  fclose(file);
  request = malloc(length + 8192);
  at = sprintf(request,
               "POST %s HTTP/1.1\r\nhost: %s:%s\r\ncontent-type: application/json\r\n"
               "authorization: Bearer sk-1234\r\nconnection: keep-alive\r\n",
               args[3], args[1], args[2]);
  for (int i = 7; i < count; i++) at += sprintf(request + at, "%s\r\n", args[i]);
  at += sprintf(request + at, "content-length: %zu\r\n\r\n", length);
  memcpy(request + at, body, length);
  request_length = at + length;
}

static void report(int connections, double seconds) {
  qsort(latency.values, latency.count, sizeof(double), ascending);
  qsort(first_byte.values, first_byte.count, sizeof(double), ascending);
  qsort(gap.values, gap.count, sizeof(double), ascending);
  printf(
      "{\"connections\":%d,\"seconds\":%.3f,\"requests\":%ld,\"rps\":%.1f,\"errors\":%ld,"
      "\"not_200\":%ld,\"reopened\":%ld,",
      connections, seconds, latency.count, latency.count / seconds, errors, refused, reopened);
  printf("\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p95\":%.1f,\"p99\":%.1f,\"max\":%.1f},",
         quantile(&latency, .5), quantile(&latency, .9), quantile(&latency, .95),
         quantile(&latency, .99), quantile(&latency, 1));
  printf("\"first_byte_us\":{\"p50\":%.1f,\"p95\":%.1f,\"p99\":%.1f},", quantile(&first_byte, .5),
         quantile(&first_byte, .95), quantile(&first_byte, .99));
  printf("\"gap_us\":{\"p50\":%.1f,\"p99\":%.1f,\"n\":%ld},\"bytes_per_answer\":%ld}\n",
         quantile(&gap, .5), quantile(&gap, .99), gap.count,
         latency.count ? bytes / latency.count : 0);
  if (refused) fprintf(stderr, "first answer that is not 200: %s\n", first_error);
}

int main(int count, char **args) {
  if (count < 7) {
    fprintf(stderr, "HOST PORT PATH BODYFILE CONNECTIONS SECONDS|nREQUESTS [HEADER ...]\n");
    return 2;
  }
  address.sin_family = AF_INET;
  address.sin_port = htons(atoi(args[2]));
  address.sin_addr.s_addr = inet_addr(args[1]);
  make_request(args, count);
  int connections = atoi(args[5]);
  long wanted = args[6][0] == 'n' ? atol(args[6] + 1) : 0;
  double start = now_us(), end = wanted ? 0 : start + atof(args[6]) * 1e6;
  poll_fd = epoll_create1(0);
  Connection *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) {
    all[i].fd = -1;
    all[i].data = malloc(ANSWER_LIMIT);
    connect_again(&all[i]);
    send_request(&all[i]);
  }
  struct epoll_event events[256];
  while (wanted ? latency.count < wanted : now_us() < end) {
    int n = epoll_wait(poll_fd, events, 256, 100);
    for (int i = 0; i < n; i++) receive(events[i].data.ptr);
  }
  report(connections, (now_us() - start) / 1e6);
  return 0;
}
