// The yardstick by which a node's speed is measured: one processor deflates a text. zlib is compiled code that branches, reads tables and copies, as
// the work of nodes does, and has no instructions of its own in processors, as cryptography does.
import { deflateSync } from 'node:zlib';
import { standardSpeed } from '../cluster/load.ts';

/** Bytes of text; an emulated processor takes 100 ms for them, a present-day one 2. */
const textBytes = 64 * 1024;
/** Bytes a second of the standard processor. */
const standardRate = 10e6;
/** The best of so many counts, the others were disturbed; less on a slow machine. */
const passes = 12;
const enoughMilliseconds = 150;

/** Words with numbers: always the same, and compressible as logs and sources are. */
export function yardstickText(): Buffer {
  const words = ['node', 'farm', 'load', 'kernel', 'memory', 'process', 'migrate', 'cluster', 'guest', 'home', 'balance', 'gossip'];
  let state = 1;
  let text = '';
  while (text.length < textBytes) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    text += `${words[(state >>> 16) % words.length]}${(state >>> 8) % 1000} `;
  }
  return Buffer.from(text.slice(0, textBytes), 'latin1');
}

/** Speed of one of this machine's processors; 10,000 = the standard processor. By processor time, so that other work does not make it slower. */
export function measureSpeed(): number {
  const text = yardstickText();
  const begun = performance.now();
  let best = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < passes && (pass === 0 || performance.now() - begun < enoughMilliseconds); pass += 1) {
    const before = process.cpuUsage();
    deflateSync(text, { level: 6 });
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, Math.max(1, user + system));
  }
  return Math.max(1, Math.round((standardSpeed * textBytes * 1e6) / best / standardRate));
}
