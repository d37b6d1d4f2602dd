// Carries out what the server orders in its answer to a report: runs mosctl, as a person at this node would, and posts what came of it.
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { sentence, WireError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { orderKey } from '../cluster/key.ts';
import { decodeOrders, encodeResults, type Order, type OrderResult, resultsPath, type Taken, takeOrders } from '../cluster/orders.ts';

/** mosctl answers at once; only expel waits, and who orders it from afar does not. */
const commandTimeout = 30_000;
const answerTimeout = 3000;
/** Status of a tool that did not end by itself. */
const cutOff = 2;

export interface OrderTakerOptions {
  readonly server: string;
  readonly port: number;
  readonly node: number;
  /** As in the reports; larger after each start. */
  readonly incarnation: () => number;
  /** The farm's keys, the one to sign with first. */
  readonly keys: () => readonly [Buffer, ...Buffer[]];
  /** Where /hpc is mounted. */
  readonly hpc: string;
  /** The tools' file; by default it lies beside the agent's. */
  readonly tools?: string;
  readonly log: Log;
}

/** Gives a function for the body of each answer to a report. It never throws; an answer without orders is none of its business. */
export function orderTaker(options: OrderTakerOptions): (body: string) => void {
  const { node, log } = options;
  let taken: Taken = { node, incarnation: options.incarnation(), last: 0 };
  let working: Promise<void> = Promise.resolve();
  return (body) => {
    if (!/^[0-9a-f]{64} /.test(body)) return;
    try {
      const incarnation = options.incarnation();
      if (incarnation !== taken.incarnation) taken = { node, incarnation, last: 0 };
      const step = takeOrders(taken, decodeOrders(body, options.keys().map(orderKey)));
      ({ taken } = step);
      if (step.fresh.length > 0) working = working.then(() => carryOut(step.fresh, incarnation, options));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      log('warn', 'order.refused', { code: error.code, reason: error.message });
    }
  };
}

async function carryOut(orders: readonly Order[], incarnation: number, options: OrderTakerOptions): Promise<void> {
  const { node, log } = options;
  const results: OrderResult[] = [];
  for (const order of orders) {
    const result = await mosctl(order, options);
    log('info', 'order.done', { number: order.number, words: order.words.join(' '), status: result.status });
    results.push(result);
  }
  const [key] = options.keys();
  await post(options, encodeResults({ node, incarnation, results }, orderKey(key))).catch((error: unknown) =>
    log('warn', 'order.untold', { reason: sentence(error) }),
  );
}

function mosctl({ number, words }: Order, { hpc, tools = join(dirname(process.argv[1] ?? ''), 'farm-tools.mjs') }: OrderTakerOptions): Promise<OrderResult> {
  return new Promise((resolve) => {
    const env = { ...process.env, FARM_HPC: hpc };
    const child = execFile(process.execPath, [tools, 'mosctl', ...words], { env, timeout: commandTimeout }, (_error, out, complaint) => {
      resolve({ number, status: child.exitCode ?? cutOff, out, complaint });
    });
  });
}

function post({ server, port }: OrderTakerOptions, body: string): Promise<void> {
  const headers = { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(answerTimeout);
    const call = request({ host: server, port, path: resultsPath, method: 'POST', headers, agent: false, signal }, (answer) => {
      answer.resume();
      answer.on('error', reject);
      if (answer.statusCode === 200) resolve();
      else reject(new Error(`the server answered ${answer.statusCode}`));
    });
    call.on('error', reject);
    call.end(body);
  });
}
