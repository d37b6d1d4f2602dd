// Remembers the answers to calls that must not be done twice. A client that lost its connection sends them again on the next one
// (RFC 1813 4.1: "duplicate request cache"), with the same xid and the same bytes.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { Reply } from './message.ts';

/** Calls that one client can have lost at once: its connections times their depth, which for Linux is some hundreds at most. */
const answersPerClient = 1024;
/** More addresses than one server's nodes; beyond it the client that was heard least recently is forgotten. */
const clientsMax = 4096;
/** How long a retransmission may take to come, in ms: two of the Linux client's default timeouts (timeo=600). */
const answerLifetime = 120_000;
/** How much of a call is summed up beside its length: all of a call that changes names, the head of a WRITE. */
const summedBytes = 512;

interface Answer {
  readonly at: number;
  /** A promise while the call is still being done. */
  reply: Reply | Promise<Reply>;
}

export class ReplyCache {
  private readonly clock: Clock;
  private readonly clients = new Map<Ipv4, Map<string, Answer>>();
  /** Calls answered from memory so far. */
  repeated = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The remembered answer to exactly this message of this client, or that of `perform`. */
  once(client: Ipv4, message: Buffer, perform: () => Reply | Promise<Reply>): Reply | Promise<Reply> {
    const now = this.clock.now();
    const answers = this.answersOf(client);
    const key = callKey(message);
    const known = answers.get(key);
    if (known !== undefined && now - known.at < answerLifetime) {
      this.repeated += 1;
      return known.reply;
    }
    const answer: Answer = { at: now, reply: perform() };
    answers.delete(key);
    answers.set(key, answer);
    if (answers.size > answersPerClient) dropOldest(answers);
    if (answer.reply instanceof Promise) void answer.reply.then((reply) => settle(answers, key, answer, reply));
    else settle(answers, key, answer, answer.reply);
    return answer.reply;
  }

  private answersOf(client: Ipv4): Map<string, Answer> {
    const answers = this.clients.get(client) ?? new Map<string, Answer>();
    this.clients.delete(client);
    this.clients.set(client, answers);
    if (this.clients.size > clientsMax) dropOldest(this.clients);
    return answers;
  }
}

/** An answer that says nothing about what was done is not worth keeping: the next try may succeed. */
function settle(answers: Map<string, Answer>, key: string, answer: Answer, reply: Reply): void {
  answer.reply = reply;
  if (reply.kind !== 'success' && answers.get(key) === answer) answers.delete(key);
}

function dropOldest(map: Map<unknown, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

/** Xid, length and 32-bit FNV-1a of the head of the call. */
function callKey(message: Buffer): string {
  let sum = 0x811c_9dc5;
  const end = Math.min(message.length, summedBytes);
  for (let at = 4; at < end; at += 1) sum = Math.imul(sum ^ message.readUInt8(at), 0x0100_0193);
  return `${message.readUInt32BE(0)}/${message.length}/${sum >>> 0}`;
}
