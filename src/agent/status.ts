// `farm-agent status`: the running agent gives its view as JSON to whoever connects to its unix socket; this side prints it.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { type Facts, flagNames } from '../cluster/entry.ts';
import type { MemberState } from '../cluster/members.ts';
import type { Stage } from '../cluster/report.ts';

/** A table of 65,535 members stays below this. */
const statusBytesMax = 32 * 1024 * 1024;

/** The socket is local and the agent answers at once; after this it hangs. */
const answerTimeout = 3000;

export interface StatusMember {
  readonly id: number;
  readonly address: string;
  readonly state: MemberState | 'self';
  /** Seconds. */
  readonly age?: number;
  readonly facts?: Facts;
}

export interface Status {
  readonly name: string;
  readonly id: number;
  readonly cluster: string;
  readonly map: string;
  readonly stage: Stage;
  readonly system: string;
  readonly version: string;
  /** Datagrams that were not taken, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Sorted by id, ourselves included. */
  readonly members: readonly StatusMember[];
}

/** Opens the socket; a stale one of a dead agent is replaced. Throws `FarmError` `agent.running` or `agent.socket`. */
export async function serveStatus(path: string, status: () => Status): Promise<Server> {
  try {
    mkdirSync(dirname(path), { recursive: true });
    if (await answers(path)) throw new FarmError('agent.running', `an agent answers on ${path} already`, 'stop it first: systemctl stop farm-agent');
    rmSync(path, { force: true });
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy()); // whoever asked is gone
      socket.end(JSON.stringify(status()));
    });
    server.maxConnections = 16;
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
    chmodSync(path, 0o666); // connecting needs write permission (unix(7)), and every user may look
    return server;
  } catch (error) {
    if (error instanceof FarmError) throw error;
    throw new FarmError('agent.socket', `${path} cannot be opened: ${sentence(error)}`, 'run the agent as root, or choose another place with --socket', error);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false)); // ENOENT or ECONNREFUSED: nobody listens
  });
}

/** Asks the running agent; its JSON text. Throws `FarmError` `agent.absent`. */
export async function askStatus(path: string): Promise<string> {
  const socket = connect(path);
  socket.setTimeout(answerTimeout, () => socket.destroy(new Error('no answer')));
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of socket) {
      if (!Buffer.isBuffer(chunk)) continue;
      chunks.push(chunk);
      size += chunk.length;
      if (size > statusBytesMax) throw new Error('the answer does not end');
    }
  } catch (error) {
    throw new FarmError(
      'agent.absent',
      `no agent answers on ${path} (${systemCode(error) ?? 'no answer'})`,
      'see why with: systemctl status farm-agent',
      error,
    );
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The status as a table for people. */
export function printStatus(status: Status): string {
  const rows = status.members.map(({ id, address, state, age, facts }) => [
    String(id),
    address,
    state,
    age === undefined ? '-' : `${age.toFixed(1)} s`,
    facts?.measures === undefined ? '-' : String(Math.round(facts.measures.load)),
    facts === undefined ? '-' : String(facts.speed),
    facts === undefined ? '-' : String(facts.cpus),
    facts?.measures === undefined ? '-' : `${mebibytes(facts.measures.memory.free)}/${mebibytes(facts.measures.memory.total)} MiB`,
    facts === undefined ? '-' : flagNames.filter((name) => facts.flags[name]).join(',') || '-',
  ]);
  const table = [['ID', 'ADDRESS', 'STATE', 'HEARD', 'LOAD', 'SPEED', 'CPUS', 'FREE MEMORY', 'FLAGS'], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const refused = Object.entries(status.refused).filter(([, count]) => count > 0);
  const head = `${status.name} is node ${status.id} of cluster ${status.cluster} (${status.map}), stage ${status.stage}, system ${status.system}`;
  const tail = refused.length === 0 ? [] : [`datagrams refused: ${refused.map(([reason, count]) => `${reason} ${count}`).join(', ')}`];
  return [head, ...lines, ...tail].map((line) => `${line}\n`).join('');
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
