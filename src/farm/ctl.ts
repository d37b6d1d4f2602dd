// `farm ctl` between the command and the server: one order to some nodes, by the control socket, and what each of them answered.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { HttpAnswer } from '../boot/answers.ts';
import type { HttpRequest } from '../boot/http.ts';
import { wordsComplaint } from '../cluster/orders.ts';
import { controlSocket } from './directory.ts';
import type { Farm } from './farm.ts';
import { selectNodes } from './node-set.ts';
import { type Orders, type Outcome, orderPatience } from './orders.ts';

/** The resource of the control socket that takes orders (POST) and answers when all nodes have, or have not. */
export const ctlPath = '/ctl';

export interface CtlOrder {
  /** Names or node sets. */
  readonly nodes: readonly string[];
  readonly words: readonly string[];
}

export interface CtlAnswer {
  readonly node: string;
  readonly outcome: Outcome;
}

export async function onCtl({ method, body }: HttpRequest, orders: Orders, { farm }: { readonly farm: Farm }): Promise<HttpAnswer> {
  if (method !== 'POST') return { kind: 'error', status: 405, message: 'orders are posted' };
  try {
    const { nodes, words } = parseOrder(body);
    const given = selectNodes(farm, nodes).map(async ({ name, id }): Promise<CtlAnswer> => ({ node: name, outcome: await orders.give(id, words) }));
    return { kind: 'json', value: await Promise.all(given) };
  } catch (error) {
    if (!(error instanceof FarmError || error instanceof SyntaxError)) throw error;
    return { kind: 'error', status: 400, message: sentence(error) };
  }
}

function parseOrder(body: Buffer | undefined): CtlOrder {
  const json: unknown = JSON.parse((body ?? Buffer.alloc(0)).toString());
  const fields = new Map(Object.entries(typeof json === 'object' && json !== null ? json : {}));
  const [nodes, words] = [strings(fields.get('nodes')), strings(fields.get('words'))];
  const complaint = wordsComplaint(words);
  if (complaint !== undefined) throw new FarmError('usage', complaint);
  return { nodes, words };
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** Throws `FarmError` `serve.absent` or `ctl.refused`. */
export async function giveOrder(directory: string, order: CtlOrder): Promise<readonly CtlAnswer[]> {
  const socketPath = controlSocket(directory);
  const absent = new FarmError('serve.absent', 'farm serve is not running, and nodes take orders from it', 'start it: farm serve');
  if (!existsSync(socketPath)) throw absent;
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: ctlPath, method: 'POST', timeout: 2 * orderPatience }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new FarmError('ctl.refused', `the running server did not take it: ${text.trim()}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`the server at ${socketPath} does not answer`)));
    asked.on('error', (error) => reject(systemCode(error) === 'ECONNREFUSED' ? absent : error));
    asked.end(JSON.stringify(order));
  });
}
