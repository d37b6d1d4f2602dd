// One run of perfdhcp, as a relay, and what it says: exchanges, what was lost, and delays.
import { spawn } from 'node:child_process';

/** Offers `rate` exchanges a second for `seconds`, of `clients` machines. */
export async function perfdhcp({ space, address, rate, seconds, clients }) {
  const args = ['-4', '-r', rate, '-R', clients, '-p', seconds, '-W', 500_000, '-x', 't', address].map(String);
  const child = spawn('ip', ['netns', 'exec', space, 'perfdhcp', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const limit = setTimeout(() => child.kill('SIGKILL'), (seconds + 60) * 1000);
  const parts = [];
  child.stdout.setEncoding('utf8').on('data', (text) => parts.push(text));
  child.stderr.setEncoding('utf8').on('data', (text) => parts.push(text));
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  return read(parts.join(''), rate, seconds);
}

/** Exported for those who look at a saved output. */
export function read(text, rate, seconds) {
  const [, discover = '', request = ''] = text.split(/\*\*\*Statistics for: /);
  if (request === '') throw new Error(`perfdhcp said no statistics:\n${text.slice(-1000)}`);
  const number = (part, name) => Number(new RegExp(`^${name}: ([\\d.]+)`, 'm').exec(part)?.[1] ?? Number.NaN);
  const begun = number(discover, 'sent packets');
  const finished = number(request, 'received packets');
  const delays = [...timers(text)].sort((a, b) => a - b);
  return {
    offered: rate,
    // perfdhcp falls behind its own rate when it has no processor to itself.
    begun: begun / seconds,
    finished: finished / seconds,
    exchanges: finished,
    lost: begun === 0 ? 1 : 1 - finished / begun,
    p50: at(delays, 0.5),
    p99: at(delays, 0.99),
  };
}

/** Milliseconds from each packet to its answer: `-x t` prints both times since the start of the run, as hhmmss.microseconds. */
function* timers(text) {
  for (const [, sent, received] of text.matchAll(/^sent \/ received: (\d{6}\.\d{6}) \/ (\d{6}\.\d{6})$/gm)) yield milliseconds(received) - milliseconds(sent);
}

function milliseconds(time) {
  return (Number(time.slice(0, 2)) * 3600 + Number(time.slice(2, 4)) * 60 + Number(time.slice(4))) * 1000;
}

function at(sorted, share) {
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
