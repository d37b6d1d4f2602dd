// Entry point of the process that is the lab: run by `startLab` inside its namespaces, it makes the wire, runs the server and the machines, and answers on the control socket.
import { chmodSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { FarmError, sentence } from '../base/errors.ts';
import { openLog } from '../base/log.ts';
import { run } from '../base/processes.ts';
import type { LabStatus, Reply, Request } from './control.ts';
import { longestRequest, requestSchema } from './control.ts';
import { lineSplitter } from './lines.ts';
import { Machine } from './machine.ts';
import { networkCommands, tapName } from './network.ts';
import type { LabPlan } from './plan.ts';
import { ServeProcess } from './serve.ts';
import { controlSocket, machineSockets } from './sockets.ts';
import { consoleLog, serveLog, variablesFile } from './state.ts';

const log = openLog('pretty', process.stderr);
const planPath = process.argv[2];
if (planPath === undefined) throw new Error('the supervisor is started by startLab, with the path of the lab’s plan');
const plan: LabPlan = JSON.parse(readFileSync(planPath, 'utf8'));

let phase: LabStatus['phase'] = 'starting';
const serve = new ServeProcess(plan.serve, plan.farmDirectory, serveLog(plan.directory), log);
const machines = plan.machines.map((machine, index) => {
  const paths = {
    ...machineSockets(plan.sockets, machine.name),
    log: consoleLog(plan.directory, machine.name),
    variables: variablesFile(plan.directory, machine.name),
  };
  return new Machine(machine, tapName(index), paths, log);
});

function status(): LabStatus {
  const { address, prefix } = plan.network.address;
  return {
    phase,
    interface: plan.network.interface,
    address: `${address}/${prefix}`,
    serve: { ...serve.state, log: serveLog(plan.directory) },
    machines: machines.map((machine) => machine.status()),
  };
}

let ending: Promise<void> | undefined;

/** Switches the machines off and lets the server close its files. Whatever else runs in here ends with this process. */
function end(why: string): Promise<void> {
  ending ??= (async () => {
    phase = 'ending';
    log('info', 'lab.ending', { why });
    await Promise.all([...machines.map((machine) => machine.power('off')), serve.kill('SIGTERM')]);
    log('info', 'lab.ended');
  })();
  return ending;
}

async function perform(request: Request): Promise<void> {
  switch (request.do) {
    case 'status':
      return;
    case 'down':
      return end('asked to');
    case 'kill-serve':
      return serve.kill(request.signal);
    case 'restart-serve':
      await serve.kill('SIGTERM');
      return serve.start();
    case 'power': {
      const machine = machines.find((candidate) => candidate.plan.name === request.machine);
      if (machine === undefined) {
        throw new FarmError('lab.machine-unknown', `the lab has no machine ${request.machine}`, `it has ${machines.map((each) => each.plan.name).join(', ')}`);
      }
      return machine.power(request.action);
    }
  }
}

function refusal(error: unknown): Reply {
  const told = error instanceof FarmError ? error : new FarmError('lab.failed', sentence(error));
  return { ok: false, code: told.code, message: told.message, ...(told.hint === undefined ? {} : { hint: told.hint }) };
}

async function answer(line: string): Promise<Reply> {
  try {
    const request = requestSchema.safeParse(line.length > longestRequest ? undefined : JSON.parse(line));
    if (!request.success) throw new FarmError('lab.request', 'the lab does not know this request');
    await perform(request.data);
    return { ok: true, status: status() };
  } catch (error) {
    return refusal(error);
  }
}

function converse(connection: Socket): void {
  connection.on('error', () => {}); // who asked has gone; nobody is left to tell
  let before: Promise<unknown> = Promise.resolve();
  const receive = (line: string) => {
    before = before.then(async () => {
      const reply = await answer(line);
      connection.write(`${JSON.stringify(reply)}\n`, () => {
        if (phase === 'ending') void end('asked to').then(() => process.exit(0));
      });
    });
  };
  connection.on('data', lineSplitter(receive));
}

async function listen(): Promise<void> {
  const server = createServer(converse);
  const path = controlSocket(plan.sockets);
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
}

async function start(): Promise<void> {
  await listen();
  await run('ip', ['-batch', '-'], { input: networkCommands(plan.network, machines.length).join('\n') });
  await serve.start();
  if (plan.powerOn) for (const machine of machines) await machine.power('on');
}

/** The starter holds the other end of stdin: it closes when the starter ends, however it ends. */
function watchStarter(): void {
  const gone = () => {
    if (phase === 'up' && plan.keep) return;
    void end('the process that started it has ended').then(() => process.exit(0));
  };
  process.stdin.on('error', gone).on('close', gone).resume();
}

/** One line for the starter, which then closes its end. */
function report(reply: Reply): Promise<void> {
  process.stdout.on('error', () => {}); // the starter has gone, which stdin tells as well
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(reply)}\n`, () => resolve()));
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => void end(signal).then(() => process.exit(0)));
}
watchStarter();
try {
  await start();
  if (phase === 'starting') phase = 'up';
  log('info', 'lab.up', { interface: plan.network.interface, machines: machines.length, server: join(plan.farmDirectory) });
  await report({ ok: true, status: status() });
} catch (error) {
  log('error', 'lab.failed', { reason: sentence(error) });
  await report(refusal(error));
  await end('it could not start');
  process.exit(1);
}
