// Two nodes on this machine: network and mount namespaces with the root of an image, whose criu they have, and a link of a given rate between them.
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bundleNode, jobFile } from './bundle.mjs';

const names = ['fmb1', 'fmb2'];
const network = '10.97.0.';
const enter = fileURLToPath(new URL('enter.sh', import.meta.url));
const quiet = { stdio: ['ignore', 'ignore', 'pipe'] };
const ip = (...args) => execFileSync('ip', args, quiet);

/** `image`: a root directory with criu, node and perl. `rate`: as tc(8) writes it. */
export async function namespaceNodes(image, rate) {
  const work = mkdtempSync(join(tmpdir(), 'farm-migration-bench-'));
  await bundleNode(join(work, 'node.mjs'));
  copyFileSync(jobFile, join(work, 'job.pl'));
  for (const name of names) ip('netns', 'add', name);
  ip('link', 'add', 'veth1', 'netns', names[0], 'type', 'veth', 'peer', 'name', 'veth2', 'netns', names[1]);
  for (const [index, name] of names.entries()) {
    const card = `veth${index + 1}`;
    ip('-n', name, 'addr', 'add', `${network}${index + 1}/24`, 'dev', card);
    for (const each of ['lo', card]) ip('-n', name, 'link', 'set', each, 'up');
    execFileSync('tc', ['-n', name, 'qdisc', 'add', 'dev', card, 'root', 'tbf', 'rate', rate, 'burst', '256k', 'latency', '20ms'], quiet);
  }
  // Where the first process sees cgroup2: also beside cgroup1.
  const group = `bench-migration-${process.pid}`;
  const nodes = names.map((name, index) => {
    const inside = ['sh', enter, realpathSync(image), work, '/usr/bin/node', '/tmp/node.mjs', String(index + 1), network, `/sys/fs/cgroup/${group}`];
    const child = spawn('ip', ['netns', 'exec', name, 'unshare', '--mount', '--propagation', 'private', ...inside], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const answer = async () => {
      const { done, value } = await lines.next();
      if (done) throw new Error(`node ${index + 1} ended`);
      const said = JSON.parse(value);
      if (said.error !== undefined) throw new Error(said.error);
      return said;
    };
    return { child, answer, ended: new Promise((resolve) => child.once('exit', resolve)) };
  });
  for (const { answer } of nodes) await answer();
  const [{ child, answer }] = nodes;
  return {
    compare(...words) {
      child.stdin.write(`${JSON.stringify({ what: 'compare', words: words.slice(0, 3) })}\n`);
      return answer();
    },
    async close() {
      for (const node of nodes) node.child.stdin.end();
      await Promise.all(nodes.map(({ ended }) => ended));
      for (const name of names) ip('netns', 'del', name);
      rmSync(work, { recursive: true, force: true });
    },
  };
}
