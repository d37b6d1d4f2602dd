// Remembers the answers to calls that must not be done twice. A client that lost its connection sends them again on the next one
// (RFC 1813 4.1: "duplicate request cache"), with the same xid and the same bytes.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { Reply } from './message.ts';

/** Calls that one client can have lost at once: its connections times their depth, which for Linux is some hundreds at most. */
const answersPerClient = 512;
/** Answers in all; with the attributes in them some 90 MB. */
const answersInAll = 131_072;
/** How long a retransmission may take to come, in ms: two of the Linux client's default timeouts (timeo=600). */
const answerLifetime = 120_000;
/** How much of a call is summed up beside its length: all of a call that changes names, the head of a WRITE. */
const summedBytes = 512;

interface Answer {
  readonly at: number;
  /** A promise while the call is still being done. */
  reply: Reply | Promise<Reply>;
}

/** Oldest first. */
type Answers = Map<string, Answer>;

export class ReplyCache {
  private readonly clock: Clock;
  private readonly most: number;
  /** The client that was heard least recently first. None is without answers. */
  private readonly clients = new Map<Ipv4, Answers>();
  private count = 0;

  constructor(clock: Clock, most = answersInAll) {
    this.clock = clock;
    this.most = most;
  }

  /** The remembered answer to exactly this message of this client, or that of `perform`. */
  once(client: Ipv4, message: Buffer, perform: () => Reply | Promise<Reply>): Reply | Promise<Reply> {
    const now = this.clock.now();
    const answers = this.clients.get(client) ?? new Map<string, Answer>();
    this.clients.delete(client);
    this.clients.set(client, answers);
    this.forgetOld(answers, now);
    const key = callKey(message);
    const known = answers.get(key);
    if (known !== undefined) return known.reply;
    const answer: Answer = { at: now, reply: perform() };
    answers.set(key, answer);
    this.count += 1;
    this.makeRoom(answers);
    if (answer.reply instanceof Promise) {
      answer.reply.then(
        (reply) => this.settle(client, key, answer, reply),
        () => this.forget(client, key, answer),
      );
    } else this.settle(client, key, answer, answer.reply);
    return answer.reply;
  }

  private forgetOld(answers: Answers, now: number): void {
    for (const [key, { at }] of answers) {
      if (now - at < answerLifetime) return;
      answers.delete(key);
      this.count -= 1;
    }
  }

  private makeRoom(answers: Answers): void {
    if (answers.size > answersPerClient) this.forgetFirst(answers);
    if (this.count <= this.most) return;
    for (const [client, least] of this.clients) {
      this.forgetFirst(least);
      if (least.size === 0) this.clients.delete(client);
      return;
    }
  }

  private forgetFirst(answers: Answers): void {
    for (const key of answers.keys()) {
      answers.delete(key);
      this.count -= 1;
      return;
    }
  }

  /** An answer that says nothing about what was done is not worth keeping: the next try may succeed. */
  private settle(client: Ipv4, key: string, answer: Answer, reply: Reply): void {
    answer.reply = reply;
    if (reply.kind !== 'success' && reply.kind !== 'relayed') this.forget(client, key, answer);
  }

  private forget(client: Ipv4, key: string, answer: Answer): void {
    const answers = this.clients.get(client);
    if (answers?.get(key) !== answer) return;
    answers.delete(key);
    this.count -= 1;
    if (answers.size === 0) this.clients.delete(client);
  }
}

/** Xid, length and 32-bit FNV-1a of the head of the call. */
function callKey(message: Buffer): string {
  let sum = 0x811c_9dc5;
  const end = Math.min(message.length, summedBytes);
  for (let at = 4; at < end; at += 1) sum = Math.imul(sum ^ message.readUInt8(at), 0x0100_0193);
  return `${message.readUInt32BE(0)}/${message.length}/${sum >>> 0}`;
}
