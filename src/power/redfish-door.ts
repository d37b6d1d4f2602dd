// HTTPS to a Redfish service with HTTP Basic authentication (DSP0266 13.3), which every service has to know; small answers, soon.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { resolve } from 'node:path';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { controllerOf } from './controller.ts';
import type { RedfishDoor } from './redfish.ts';
import type { RedfishPower } from './setting.ts';

/** Controllers are slow, some take seconds for a system; one that takes longer hangs. */
const patience = 30_000;

/** A computer system is some ten KB. */
const bodyMax = 1 << 20;

/** Throws what `controllerOf` does; the door `power.silent`, `power.certificate` and `power.redfish`. */
export function openRedfish(power: RedfishPower, directory: string): RedfishDoor {
  const { address, user, password } = controllerOf(power, directory);
  const [host = '', port = '443'] = address.split(':');
  const trust = power.insecure === true ? { rejectUnauthorized: false } : power.ca === undefined ? {} : { ca: readFileSync(resolve(directory, power.ca)) };
  return async (path, body) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = { accept: 'application/json', 'odata-version': '4.0', ...(text === undefined ? {} : { 'content-type': 'application/json' }) };
    const { status, said } = await exchange(
      { host, port, path, method: text === undefined ? 'GET' : 'POST', auth: `${user}:${password}`, headers, ...trust },
      text,
    );
    if (status === 401 || status === 403) {
      throw new FarmError('power.redfish', `${address} refuses user ${user}`, 'compare `user` and the password file with its own settings');
    }
    if (status < 200 || status > 299) throw new FarmError('power.redfish', `${address} answers ${path} with status ${status}${messageIn(said)}`);
    if (said.trim() === '') return undefined; // 204
    return parsed(said, `what ${address} answers to ${path} is no JSON`);
  };
}

interface Answer {
  readonly status: number;
  readonly said: string;
}

type Request = Parameters<typeof request>[1];

function exchange(options: Request & { readonly host: string }, body: string | undefined): Promise<Answer> {
  const { host } = options;
  return new Promise((settle, reject) => {
    const asked = request({ ...options, agent: false, signal: AbortSignal.timeout(patience) }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > bodyMax) asked.destroy(new FarmError('power.redfish', `${host} answers with more than ${bodyMax} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', (error) => reject(failure(error, host)));
      response.on('end', () => settle({ status: response.statusCode ?? 0, said: Buffer.concat(chunks).toString() }));
    });
    asked.on('error', (error) => reject(failure(error, host)));
    asked.end(body);
  });
}

function failure(error: Error, host: string): FarmError {
  if (error instanceof FarmError) return error;
  const code = systemCode(error) ?? '';
  if (code === 'ABORT_ERR') return new FarmError('power.silent', `${host} does not answer`, 'is it reachable from here?', error);
  if (/CERT|SELF_SIGNED|ALTNAME/.test(code)) {
    const hint = 'name the certificate that it is signed with as `ca`, or, in a network that you trust, write `insecure: true`';
    return new FarmError('power.certificate', `the certificate of ${host} is not trusted: ${sentence(error)}`, hint, error);
  }
  return new FarmError('power.silent', `${host} cannot be reached: ${sentence(error)}`, 'compare its address; is Redfish switched on there?', error);
}

/** The first message of an error response (DSP0266 8.6), one line of it. */
function messageIn(said: string): string {
  const [, message] = /"(?:Message|message)"\s*:\s*"((?:[^"\\\p{Cc}]|\\["\\/]){1,200})/u.exec(said) ?? [];
  return message === undefined ? '' : `: ${message}`;
}

function parsed(text: string, complaint: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FarmError('power.redfish', complaint, 'is it a Redfish service?', error);
  }
}
