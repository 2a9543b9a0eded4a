// A fast upstream that speaks the OpenAI chat wire: one thread, epoll, HTTP/1.1 keep-alive.
//
//   cc -O2 -o mock mock.c && ./mock PORT
//
// What it answers follows from the body. The words of the model's name, joined by '-', ask for more:
//
//   wait100     thinks for 100 ms before the first byte
//   paced       10 ms between the chunks of a stream; otherwise they come in one burst
//   words20     an answer of 20 words; otherwise 106 (some 640 bytes)
//   unsure      its log-probabilities are low
//   unsure20    those of 20 in 100 requests are, evenly spread over the requests
//   cached      64 of its input tokens were cached
//   reasoning   32 of its output tokens were reasoning
//
// `stream`, `stream_options.include_usage`, `logprobs` and `top_logprobs` of the body are followed.
// A path with /embeddings or /messages gets an embedding or an Anthropic message (not streamed).
// GET /stats counts the requests; any other GET lists one model.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORDS 106
#define CHUNKS 50  // of a stream, the last of them holds the finish reason
#define PACE_NS (10 * 1000000L)
#define INPUT_LIMIT (1 << 20)
#define KEPT 256  // answers that were built once

typedef struct {
  char *data;
  size_t length, room;
} Text;

typedef struct {
  char key[160];
  Text pieces[CHUNKS + 4];  // one piece: an answer in one burst
  int count;
} Answer;

typedef struct Connection {
  int fd;
  Text in, out;
  size_t sent;
  const Answer *answer;  // waiting for its time
  int piece;
  long due_ns, pace_ns;
  struct Connection *next, *before;  // in the list of those that wait
} Connection;

static Answer kept[KEPT];
static int kept_count, waiting_count, poll_fd;
static Connection *waiting;
static unsigned long requests, drawn;

static long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void add(Text *text, const char *data, size_t length) {
  if (text->length + length + 1 > text->room) {
    text->room = (text->length + length + 1) * 2;
    text->data = realloc(text->data, text->room);
  }
  memcpy(text->data + text->length, data, length);
  text->length += length;
  text->data[text->length] = 0;
}

static void say(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(Text *text, const char *format, ...) {
  char *made;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&made, format, args);
  va_end(args);
  add(text, made, length);
  free(made);
}

// What a request asks for.
typedef struct {
  char model[64];
  int stream, usage, logprobs, top, unsure, words, wait_ms, paced, cached, reasoning;
} Asked;

static int number_after(const char *name, const char *word) {
  const char *found = strstr(name, word);
  return found ? atoi(found + strlen(word)) : 0;
}

static int is_true(const char *body, const char *key) {
  const char *found = strstr(body, key);
  if (!found) return 0;
  found += strlen(key);
  while (*found == ' ' || *found == ':') found++;
  return *found == 't';
}

static Asked read_body(const char *body) {
  Asked asked = {0};
  const char *found = strstr(body, "\"model\"");
  if (found && (found = strchr(found + 7, '"'))) {
    size_t length = strcspn(++found, "\"");
    if (length > 63) length = 63;
    memcpy(asked.model, found, length);
  }
  asked.stream = is_true(body, "\"stream\"");
  asked.usage = is_true(body, "\"include_usage\"");
  asked.logprobs = is_true(body, "\"logprobs\"");
  asked.top = number_after(body, "\"top_logprobs\":");
  asked.words = number_after(asked.model, "words");
  if (asked.words <= 0 || asked.words > 4000) asked.words = WORDS;
  asked.wait_ms = number_after(asked.model, "wait");
  asked.paced = strstr(asked.model, "paced") != NULL;
  asked.cached = strstr(asked.model, "cached") ? 64 : 0;
  asked.reasoning = strstr(asked.model, "reasoning") ? 32 : 0;
  const char *unsure = strstr(asked.model, "unsure");
  int share = unsure ? atoi(unsure + 6) : 0;
  if (unsure && !share) share = 100;
  if (share) asked.unsure = (drawn + 1) * share / 100 > drawn * share / 100, drawn++;
  return asked;
}

static void say_logprobs(Text *text, const Asked *asked, int first, int last) {
  double best = asked->unsure ? -1.2 : -0.01;
  say(text, "{\"content\":[");
  for (int i = first; i < last; i++) {
    say(text, "%s{\"token\":\"tok%02d \",\"logprob\":%g,\"bytes\":[116,111,107],\"top_logprobs\":[",
        i > first ? "," : "", i % 100, best);
    for (int k = 0; k < asked->top; k++)
      say(text, "%s{\"token\":\"%s%02d \",\"logprob\":%g,\"bytes\":[116,111,107]}", k ? "," : "",
          k ? "alt" : "tok", k ? k : i % 100, k ? best - 1.5 - k : best);
    say(text, "]}");
  }
  say(text, "],\"refusal\":null}");
}

static void say_usage(Text *text, const Asked *asked) {
  int output = asked->words + asked->reasoning;
  say(text,
      "{\"prompt_tokens\":180,\"completion_tokens\":%d,\"total_tokens\":%d,"
      "\"prompt_tokens_details\":{\"cached_tokens\":%d},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":%d}}",
      output, 180 + output, asked->cached, asked->reasoning);
}

static void say_http(Text *text, const Text *body) {
  say(text,
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_mock\r\n"
      "content-length: %zu\r\n\r\n",
      body->length);
  add(text, body->data, body->length);
}

static void build_whole(Answer *answer, const Asked *asked) {
  Text body = {0};
  say(&body,
      "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion\",\"created\":1760000000,"
      "\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"",
      asked->model);
  for (int i = 0; i < asked->words; i++) say(&body, "tok%02d ", i % 100);
  say(&body, "\",\"refusal\":null},\"logprobs\":");
  if (asked->logprobs)
    say_logprobs(&body, asked, 0, asked->words);
  else
    say(&body, "null");
  say(&body, ",\"finish_reason\":\"stop\"}],\"usage\":");
  say_usage(&body, asked);
  say(&body, ",\"system_fingerprint\":\"fp_mock\"}");
  say_http(&answer->pieces[0], &body);
  answer->count = 1;
  free(body.data);
}

static void add_event(Answer *answer, const Text *data) {
  Text *piece = &answer->pieces[answer->count++];
  say(piece, "%zx\r\n", data->length + 8);
  say(piece, "data: %s\n\n\r\n", data->data);
}

static void start_event(Text *data, const Asked *asked) {
  data->length = 0;
  say(data,
      "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
      "\"model\":\"%s\",\"system_fingerprint\":\"fp_mock\",\"choices\":",
      asked->model);
}

static void build_stream(Answer *answer, const Asked *asked) {
  Text data = {0};
  for (int i = 0; i < CHUNKS - 1; i++) {
    start_event(&data, asked);
    say(&data, "[{\"index\":0,\"delta\":{%s\"content\":\"tok%02d \"},\"logprobs\":",
        i ? "" : "\"role\":\"assistant\",", i);
    if (asked->logprobs)
      say_logprobs(&data, asked, i, i + 1);
    else
      say(&data, "null");
    say(&data, ",\"finish_reason\":null}]%s}", asked->usage ? ",\"usage\":null" : "");
    add_event(answer, &data);
  }
  start_event(&data, asked);
  say(&data, "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]%s}",
      asked->usage ? ",\"usage\":null" : "");
  add_event(answer, &data);
  if (asked->usage) {
    start_event(&data, asked);
    say(&data, "[],\"usage\":");
    say_usage(&data, asked);
    say(&data, "}");
    add_event(answer, &data);
  }
  say(&answer->pieces[answer->count++], "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
  free(data.data);
}

static void join_pieces(Answer *answer) {
  for (int i = 1; i < answer->count; i++)
    add(&answer->pieces[0], answer->pieces[i].data, answer->pieces[i].length);
  answer->count = 1;
}

static const char *STREAM_HEAD =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    "transfer-encoding: chunked\r\n\r\n";

static const Answer *answer_to(const Asked *asked) {
  char key[160];
  snprintf(key, sizeof key, "%s|%d%d%d%d|%d", asked->model, asked->stream, asked->usage,
           asked->logprobs, asked->unsure, asked->top);
  for (int i = 0; i < kept_count; i++)
    if (!strcmp(kept[i].key, key)) return &kept[i];
  if (kept_count == KEPT) fprintf(stderr, "too many kinds of requests\n"), exit(1);
  Answer *answer = &kept[kept_count++];
  strcpy(answer->key, key);
  if (!asked->stream) {
    build_whole(answer, asked);
    return answer;
  }
  add(&answer->pieces[0], STREAM_HEAD, strlen(STREAM_HEAD));
  build_stream(answer, asked);
  if (!asked->paced) join_pieces(answer);
  return answer;
}

static void stop_waiting(Connection *c) {
  if (c->before)
    c->before->next = c->next;
  else
    waiting = c->next;
  if (c->next) c->next->before = c->before;
  c->next = c->before = NULL;
  c->answer = NULL;
  waiting_count--;
}

static void wait_for(Connection *c, const Answer *answer, long due_ns, long pace_ns) {
  c->answer = answer;
  c->piece = 0;
  c->due_ns = due_ns;
  c->pace_ns = pace_ns;
  c->before = NULL;
  c->next = waiting;
  if (waiting) waiting->before = c;
  waiting = c;
  waiting_count++;
}

static void hang_up(Connection *c) {
  if (c->answer) stop_waiting(c);
  epoll_ctl(poll_fd, EPOLL_CTL_DEL, c->fd, NULL);
  close(c->fd);
  free(c->in.data);
  free(c->out.data);
  free(c);
}

static void watch(Connection *c, int events, int how) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  epoll_ctl(poll_fd, how, c->fd, &event);
}

static int send_out(Connection *c) {
  if (!c->out.length) return 0;
  while (c->sent < c->out.length) {
    ssize_t n = send(c->fd, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN) return -1;
      watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
      return 0;
    }
    c->sent += n;
  }
  c->sent = c->out.length = 0;
  return 0;
}

static void say_fixed(Connection *c, const char *body) {
  Text text = {0};
  say(&text, "%s", body);
  say_http(&c->out, &text);
  free(text.data);
}

static void answer_post(Connection *c, const char *head, const char *body) {
  requests++;
  if (strstr(head, "/embeddings"))
    return say_fixed(c,
                     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                     "\"embedding\":[0.1,0.2,0.3,0.4]}],\"model\":\"embedder\","
                     "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}");
  if (strstr(head, "/messages"))
    return say_fixed(c,
                     "{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\","
                     "\"model\":\"claude-mock\",\"content\":[{\"type\":\"text\",\"text\":\"Hello.\"}],"
                     "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                     "\"usage\":{\"input_tokens\":180,\"output_tokens\":120}}");
  Asked asked = read_body(body);
  const Answer *answer = answer_to(&asked);
  if (!asked.wait_ms && answer->count == 1)
    add(&c->out, answer->pieces[0].data, answer->pieces[0].length);
  else
    wait_for(c, answer, now_ns() + asked.wait_ms * 1000000L, asked.paced ? PACE_NS : 0);
}

static void answer_get(Connection *c, const char *head) {
  char stats[64];
  snprintf(stats, sizeof stats, "{\"requests\":%lu}", requests);
  if (!strncmp(head, "GET /stats", 10)) return say_fixed(c, stats);
  say_fixed(c,
            "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1,"
            "\"owned_by\":\"mock\"}]}");
}

// The end of a body that begins at `start`, 0 while it is not there yet.
static size_t end_of_body(Connection *c, const char *head, size_t start) {
  char *length = strcasestr(head, "\r\ncontent-length:");
  if (strcasestr(head, "\r\ntransfer-encoding: chunked")) {
    char *end = memmem(c->in.data + start, c->in.length - start, "0\r\n\r\n", 5);
    return end ? (size_t)(end + 5 - c->in.data) : 0;
  }
  size_t end = start + (length ? atol(length + 17) : 0);
  return end <= c->in.length ? end : 0;
}

static int take_requests(Connection *c) {
  while (c->in.length && !c->answer) {
    char *blank = memmem(c->in.data, c->in.length, "\r\n\r\n", 4);
    if (!blank) return c->in.length > INPUT_LIMIT ? -1 : 0;
    size_t start = blank - c->in.data + 4;
    *blank = 0;
    size_t end = end_of_body(c, c->in.data, start);
    int expects = strcasestr(c->in.data, "\r\nexpect: 100-continue") != NULL;
    if (!end) {
      *blank = '\r';
      if (expects && c->in.length == start) add(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
      return c->in.length > INPUT_LIMIT ? -1 : 0;
    }
    char after = c->in.data[end];
    c->in.data[end] = 0;
    if (c->in.data[0] == 'G')
      answer_get(c, c->in.data);
    else
      answer_post(c, c->in.data, c->in.data + start);
    c->in.data[end] = after;
    memmove(c->in.data, c->in.data + end, c->in.length - end + 1);
    c->in.length -= end;
  }
  return 0;
}

static int receive(Connection *c) {
  char piece[65536];
  ssize_t n = recv(c->fd, piece, sizeof piece, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN)) return -1;
  if (n < 0) return 0;
  add(&c->in, piece, n);
  return take_requests(c);
}

static void accept_all(int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
  }
}

// Send what is due; a connection whose answer is complete goes on with its next request.
static void tick(void) {
  long now = now_ns();
  for (Connection *c = waiting, *next; c; c = next) {
    next = c->next;
    if (now < c->due_ns) continue;
    const Answer *answer = c->answer;
    do {
      add(&c->out, answer->pieces[c->piece].data, answer->pieces[c->piece].length);
      c->piece++;
    } while (!c->pace_ns && c->piece < answer->count);
    c->due_ns += c->pace_ns;
    int failed = 0;
    if (c->piece == answer->count) {
      stop_waiting(c);
      failed = take_requests(c);
    }
    if (failed || send_out(c)) hang_up(c);
  }
}

static int listen_on(int port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = inet_addr("127.0.0.1");
  if (bind(fd, (void *)&address, sizeof address)) perror("bind"), exit(1);
  listen(fd, 4096);
  return fd;
}

int main(int count, char **args) {
  int listener = listen_on(count > 1 ? atoi(args[1]) : 9001);
  poll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN}, events[256];
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
  fprintf(stderr, "ready\n");
  for (;;) {
    int n = epoll_wait(poll_fd, events, 256, waiting_count ? 1 : -1);
    for (int i = 0; i < n; i++) {
      Connection *c = events[i].data.ptr;
      if (!c) {
        accept_all(listener);
        continue;
      }
      int failed = events[i].events & (EPOLLHUP | EPOLLERR);
      if (!failed && (events[i].events & EPOLLOUT)) watch(c, EPOLLIN, EPOLL_CTL_MOD);
      if (!failed && (events[i].events & EPOLLIN)) failed = receive(c);
      if (failed || send_out(c)) hang_up(c);
    }
    if (waiting_count) tick();
  }
}
