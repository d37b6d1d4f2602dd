// How `farm boot` gives its command to the farm: to the running server by its control socket, else to the journal that the next one reads.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { FarmError, systemCode } from '../base/errors.ts';
import { type ActionCommand, appendCommand, readActions } from './action-store.ts';
import type { OrderedActions } from './actions.ts';
import { controlSocket } from './directory.ts';

/** The resource of the control socket that takes commands (POST) and tells what is ordered (GET). */
export const actionsPath = '/actions';

/** What a GET of `actionsPath` gives, as JSON. */
export type ActionsListed = Readonly<Record<string, OrderedActions>>;

const answerMilliseconds = 5000;

/** Settles when the command is on disk, and known to the server if one runs. Throws `FarmError` `action.refused`. */
export async function giveCommand(farmDirectory: string, command: ActionCommand, now: number): Promise<void> {
  if ((await ask(farmDirectory, 'POST', command)) !== undefined) return;
  await appendCommand(farmDirectory, command, now);
  // A server that started in between may have read the journal a moment too early. It knows the command by its id if it did not.
  await ask(farmDirectory, 'POST', command);
}

/** From the running server, or from what the last one left behind. */
export async function listActions(farmDirectory: string): Promise<ActionsListed> {
  const answer = await ask(farmDirectory, 'GET', undefined);
  return answer === undefined ? Object.fromEntries(readActions(farmDirectory)) : JSON.parse(answer);
}

/** The body of the answer; undefined if no server runs. */
function ask(farmDirectory: string, method: 'GET' | 'POST', body: ActionCommand | undefined): Promise<string | undefined> {
  const socketPath = controlSocket(farmDirectory);
  if (!existsSync(socketPath)) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: actionsPath, method, timeout: answerMilliseconds }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new FarmError('action.refused', `the running server did not take it: ${text.trim()}`, 'it may be of another version: restart farm serve'));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`the server at ${socketPath} does not answer`)));
    asked.on('error', (error) => (systemCode(error) === 'ECONNREFUSED' || systemCode(error) === 'ENOENT' ? resolve(undefined) : reject(error)));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
