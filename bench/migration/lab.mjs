// The first two machines of a lab that is up, by their consoles, where root is logged in (console_login: true). The programs come to them by the farm's overlays.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadFarm } from '../../dist/farm/config.js';
import { bundleNode, jobFile } from './bundle.mjs';

/** How the agent is run on nodes. */
const node = '/usr/bin/node --max-semi-space-size=1 --single-threaded';
/** An emulated machine. */
const patience = 120_000;
let marks = 0;

/** `directory`: of the farm. */
export async function labNodes(directory) {
  const work = mkdtempSync(join(tmpdir(), 'farm-migration-bench-'));
  const bundle = join(work, 'node.mjs');
  await bundleNode(bundle);
  // A name of its own for each version: what a node has once read it keeps.
  const version = createHash('sha256').update(readFileSync(bundle)).update(readFileSync(jobFile)).digest('hex').slice(0, 12);
  const place = `/opt/bench-migration-${version}`;
  const overlay = join(directory, 'overlays', 'root', place);
  mkdirSync(overlay, { recursive: true });
  copyFileSync(bundle, join(overlay, 'node.mjs'));
  copyFileSync(jobFile, join(overlay, 'job.pl'));
  rmSync(work, { recursive: true });
  const machines = loadFarm(directory).nodes.slice(0, 2);
  const [first, second] = machines.map(({ name }) => name);
  const { address } = machines[0];
  // The program adds 1 and 2 to it, so the two are to be neighbours.
  const network = address.replace(/1$/, '');
  const start = async (name, index) => {
    const ready = `until [ -e ${place}/job.pl ]; do sleep 1; done; cp ${place}/job.pl /tmp/; mount -o remount,size=90% /tmp`;
    const run = `${node} ${place}/node.mjs ${index} ${network} /sys/fs/cgroup/bench-migration`;
    const files = 'rm -f /run/bench-orders; mkfifo /run/bench-orders; : > /run/bench-answers';
    await onConsole(
      directory,
      name,
      `${ready}; ${files}; (sleep 7200 > /run/bench-orders & ${run} < /run/bench-orders > /run/bench-answers 2> /run/bench-errors &)`,
    );
    await answers(name, 1);
  };
  /** The last line, once there are so many. */
  const answers = async (name, count, until = Date.now() + patience) => {
    for (;;) {
      const said = (await onConsole(directory, name, 'cat /run/bench-answers')).split('\n').filter((line) => line.startsWith('{'));
      if (said.length >= count) return JSON.parse(said[count - 1]);
      if (Date.now() > until) throw new Error(`${name} has not answered in time: ${await onConsole(directory, name, 'tail -3 /run/bench-errors')}`);
      await delay(5000);
    }
  };
  await start(second, 2);
  await start(first, 1);
  let asked = 1;
  return {
    async compare(size, kind, rate, until) {
      asked += 1;
      await onConsole(directory, first, `echo '${JSON.stringify({ what: 'compare', words: [size, kind, rate] })}' > /run/bench-orders`);
      const said = await answers(first, asked, until);
      if (said.error !== undefined) throw new Error(said.error);
      return said;
    },
    async close() {
      for (const name of [first, second]) await onConsole(directory, name, 'pkill -f /node.mjs; pkill -x sleep; true').catch(() => {}); // the machine may be gone
      rmSync(overlay, { recursive: true });
    },
  };
}

/** What a line prints there. */
async function onConsole(directory, name, line) {
  marks += 1;
  const mark = `mark${marks}x${process.pid}`;
  const socket = connect(join(directory, '.lab', 'sockets', `${name}.serial`));
  let said = '';
  socket.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  const until = Date.now() + patience;
  const heard = async (pattern, knock) => {
    for (let round = 0; !pattern.test(said); round += 1) {
      if (Date.now() > until) throw new Error(`${name} does not answer on its console: ${line}\n${said.slice(-500)}`);
      if (knock !== undefined && round % 20 === 0) socket.write(knock);
      await delay(100);
    }
    return pattern.exec(said)[1];
  };
  try {
    // The shell joins the halves of a mark, so that an echo of what is typed is not the answer.
    await heard(new RegExp(`${mark}-ready`), `echo '${mark}'-'ready'\r`);
    socket.write(`echo '${mark}'-'begin'; { ${line}\n }; echo '${mark}'-'end'\r`);
    return (await heard(new RegExp(`${mark}-begin\\r?\\n([\\s\\S]*?)${mark}-end`))).replaceAll('\r', '').replaceAll(`${mark}-ready\n`, '');
  } finally {
    socket.destroy();
  }
}
