// Tells the server how this node is: soon after each change, and in between as a sign of life. Outlives the server's absence.
import { request } from 'node:http';
import { sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { ordersBytesMax } from '../cluster/orders.ts';
import { type AgentReport, reportPath } from '../cluster/report.ts';

/** A server that has not answered by then is not going to. */
const answerTimeout = 3000;
/** While there is no server: longest pause in report intervals, so that 1,000 nodes do not hammer one that comes back. */
const backOffMax = 6;
/** Changes within this part of a report interval share one report. */
const gatherPart = 5;

export interface Reporter {
  /** There is something new to tell. */
  poke(): void;
  /** One last report; settles when it was answered, refused or `timeout` ms are over. No report follows. */
  farewell(timeout: number): Promise<void>;
}

export interface ReporterOptions {
  readonly server: string;
  readonly port: number;
  /** Ms between reports. */
  readonly interval: number;
  readonly report: () => AgentReport;
  /** Given the body of each answer: the server may have orders. */
  readonly answered?: (body: string) => void;
  readonly log: Log;
}

/** Ms to wait after the nth failure in a row: doubled each time up to a limit, of which `random` (0..1) takes away up to half. */
export function backOff(failures: number, interval: number, random: number): number {
  return Math.min((interval / gatherPart) * 2 ** (failures - 1), interval * backOffMax) * (1 - random / 2);
}

/** Reports at once, and from then on. */
export function startReporter(options: ReporterOptions): Reporter {
  const { interval, log } = options;
  const gather = interval / gatherPart;
  let timer: NodeJS.Timeout | undefined;
  let busy: AbortController | undefined;
  let news = false;
  let failures = 0;
  let sentAt = Number.NEGATIVE_INFINITY;
  let ended = false;

  const schedule = (delay: number) => {
    clearTimeout(timer);
    if (!ended) timer = setTimeout(() => void send(), delay);
  };
  const send = async () => {
    const abort = new AbortController();
    busy = abort;
    news = false;
    sentAt = performance.now();
    try {
      await post(options, answerTimeout, abort.signal);
      if (failures > 0) log('info', 'report.resumed', { after: failures });
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 1 && !ended) log('warn', 'report.failed', { server: `${options.server}:${options.port}`, reason: sentence(error) });
    }
    busy = undefined;
    schedule(failures > 0 ? backOff(failures, interval, Math.random()) : news ? gather : interval);
  };
  void send();

  return {
    poke() {
      news = true;
      if (busy === undefined && failures === 0) schedule(Math.max(0, sentAt + gather - performance.now()));
    },
    async farewell(timeout) {
      ended = true;
      clearTimeout(timer);
      busy?.abort();
      try {
        await post(options, timeout, undefined);
      } catch (error) {
        log('warn', 'report.failed', { server: `${options.server}:${options.port}`, reason: sentence(error) });
      }
    },
  };
}

/** Settles when the server took it (2xx). One connection each: 1,000 kept open would cost the server more than 200 made a second. */
function post(options: ReporterOptions, timeout: number, signal: AbortSignal | undefined): Promise<void> {
  const body = Buffer.from(JSON.stringify(options.report()));
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const limit = AbortSignal.timeout(timeout);
  const either = signal === undefined ? limit : AbortSignal.any([limit, signal]);
  return new Promise((resolve, reject) => {
    const call = request({ host: options.server, port: options.port, path: reportPath, method: 'POST', headers, agent: false, signal: either }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > ordersBytesMax) answer.destroy(new Error('the answer does not end'));
      });
      answer.on('error', reject);
      const { statusCode = 0 } = answer;
      answer.on('end', () => {
        if (statusCode < 200 || statusCode >= 300) return reject(new Error(`the server answered ${statusCode}`));
        options.answered?.(text);
        resolve();
      });
    });
    call.on('error', (error) => reject(systemCode(error) === 'ABORT_ERR' ? new Error(`no answer within ${timeout} ms`) : error));
    call.end(body);
  });
}
