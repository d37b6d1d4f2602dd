// What a process and those it started use: processor time and memory, as /proc counts them.
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, which Linux fixes for programs. */
const ticksPerSecond = 100;

/** A process and its descendants. */
function family(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statOf(name);
    if (fields !== undefined) parents.set(Number(name), Number(fields[1]));
  }
  const found = [pid];
  for (const known of found) for (const [child, parent] of parents) if (parent === known) found.push(child);
  return found;
}

/** The fields behind the command's name: state, parent, ... (proc(5)). Undefined when the process is gone. */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Seconds of processor time, user and system; what ended processes used is their parent's. */
export function processorSeconds(pid) {
  let ticks = 0;
  for (const one of family(pid)) {
    const fields = statOf(one) ?? [];
    for (const index of [11, 12]) ticks += Number(fields[index] ?? 0);
  }
  return ticks / ticksPerSecond;
}

/** Bytes: resident of all, pages that they share counted for each; and in proportion (PSS). */
export function memory(pid) {
  let resident = 0;
  let proportional = 0;
  for (const one of family(pid)) {
    try {
      const text = readFileSync(`/proc/${one}/smaps_rollup`, 'latin1');
      resident += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
      proportional += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
    } catch {
      // It ended meanwhile.
    }
  }
  return { resident, proportional };
}
