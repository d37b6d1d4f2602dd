// Who used the processors during a boot: the side's servers, its machines, and everything else on this computer, which tells how far a
// comparison of wall-clock times can be trusted.
import { cpus } from 'node:os';

/** USER_HZ: the unit of times in /proc/PID/stat, 100 on every architecture with QEMU (time(7)). */
const ticksPerSecond = 100;

/** Starts counting. The function it gives ends that, with seconds of processor time by `servers`, `machines` and `others`; ask before the lab is down. */
export function countProcessorTime(side) {
  const before = busySeconds();
  return async (lab) => {
    const stats = (await lab.exec('sh', ['-c', 'cat /proc/[0-9]*/stat 2>/dev/null || true'])).toString().trim().split('\n');
    const used = { servers: 0, machines: 0, others: busySeconds() - before };
    for (const { name, parent, seconds } of stats.map(parseStat)) {
      const isSupervisor = parent === 1 && /^(node|MainThread)$/.test(name);
      if (name.startsWith('qemu-')) used.machines += seconds;
      else if (side.programs.test(name) && !isSupervisor) used.servers += seconds;
      used.others -= seconds;
    }
    return used;
  };
}

function busySeconds() {
  return cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) / 1000, 0);
}

/** proc(5): pid (comm) state ppid ... utime stime cutime cstime are fields 14 to 17; comm may hold anything, so its last parenthesis counts. */
function parseStat(line) {
  const end = line.lastIndexOf(')');
  const [, parent, ...rest] = line.slice(end + 2).split(' ');
  const ticks = rest.slice(9, 13).reduce((sum, text) => sum + Number(text), 0);
  return { name: line.slice(line.indexOf('(') + 1, end), parent: Number(parent), seconds: ticks / ticksPerSecond };
}
