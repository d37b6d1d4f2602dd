// The lock server in a namespace, with a port mapper of ours: argument is the journal. Tells its log as lines of JSON; ends with its stdin.
import { writeSync } from 'node:fs';
import { ipv4 } from '../../src/base/addresses.ts';
import type { LockQuestions } from '../../src/nlm/doors.ts';
import { openLocks, startLockServer, systemTimers } from '../../src/nlm/server.ts';
import { startPortmap } from '../../src/rpc/portmap/server.ts';

const address = ipv4('10.11.0.1');
const log = (_level: string, event: string, fields = {}) => void writeSync(1, `${JSON.stringify({ event, ...fields })}\n`);
const questions: LockQuestions = { admits: () => true, identify: (handle) => handle.toString('hex'), permit: () => 'yes' };

const locks = openLocks({ path: process.argv[2] ?? '', questions, log, graceTime: 3000 });
const server = await startLockServer({ locks, address, privileged: false, log });
const mapper = await startPortmap({ address, mappings: server.mappings, log, clock: systemTimers });
log('info', 'ready', { state: locks.service.state });
process.stdin.resume().on('end', () => {
  void Promise.all([mapper.close(), server.close(), locks.close()]);
});
