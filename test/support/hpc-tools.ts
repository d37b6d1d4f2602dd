// Runs a tool in a world of its own: /hpc is the live tree itself, without a mount, and what it says is kept.
import { hpcTree } from '../../src/agent/hpc/tree.ts';
import { openHpc, type TextFiles } from '../../src/agent/tools/hpc.ts';
import type { LocalAddress, Tool, World } from '../../src/agent/tools/tool.ts';
import { ipv4 } from '../../src/base/addresses.ts';
import type { Clock } from '../../src/base/clock.ts';
import { FarmError } from '../../src/base/errors.ts';
import { LiveTree } from '../../src/tree/memory.ts';
import { TreeError } from '../../src/tree/tree.ts';
import { HpcCluster } from './hpc-cluster.ts';

export interface Said {
  readonly status: number;
  readonly out: string;
  readonly complaint: string;
}

export interface ToolWorld {
  readonly cluster: HpcCluster;
  /** What files other than /hpc's have; the tools write there too. */
  readonly files: Map<string, string>;
  hostname: string;
  addresses: LocalAddress[];
  /** How many pauses pass before the user interrupts. */
  patience: number;
  run(tool: Tool, ...args: readonly string[]): Promise<Said>;
}

export function local(name: string, address: string): LocalAddress {
  return { interface: name, address: ipv4(address) };
}

export function toolWorld(): ToolWorld {
  let now = 1_000_000;
  const cluster = new HpcCluster();
  const clock: Clock = {
    now() {
      now += 1000;
      return now;
    },
  };
  const tree = new LiveTree(
    hpcTree(cluster, () => {}, clock),
    1,
    clock,
  );
  const files = new Map([['/etc/hosts', '127.0.0.1 localhost\n10.11.0.11 n1\n']]);
  const made: ToolWorld = {
    cluster,
    files,
    hostname: 'n1',
    addresses: [local('lo', '127.0.0.1'), local('eth0', '10.11.0.11')],
    patience: 3,
    async run(tool, ...args) {
      let out = '';
      let complaint = '';
      let pauses = 0;
      const world: World = {
        hpc: openHpc('/hpc', treeFiles(tree)),
        hostname: made.hostname,
        addresses: () => made.addresses,
        readText(path) {
          const text = files.get(path);
          if (text === undefined) throw new FarmError('file.unreadable', `there is no ${path}`);
          return text;
        },
        writeText: (path, text) => void files.set(path, text),
        out: (text) => {
          out += text;
        },
        complain: (text) => {
          complaint += text;
        },
        async pause() {
          pauses += 1;
          return pauses >= made.patience;
        },
      };
      try {
        return { status: await tool(args, world), out, complaint };
      } catch (error) {
        if (!(error instanceof FarmError)) throw error;
        return { status: 2, out, complaint: `${complaint}${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}` };
      }
    },
  };
  return made;
}

function treeFiles(tree: LiveTree): TextFiles {
  const find = (path: string) =>
    path
      .split('/')
      .slice(2)
      .reduce((at, name) => tree.lookup(at, name), tree.root);
  const asSystem = <Value>(act: () => Value): Value => {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof TreeError)) throw error;
      throw Object.assign(new Error(error.message), { code: error.code === 'INVAL' ? 'EINVAL' : `E${error.code === 'ACCES' ? 'ACCES' : error.code}` });
    }
  };
  return {
    read: (path) =>
      asSystem(() => {
        const id = find(path);
        const bytes = Buffer.alloc(tree.attributes(id).size);
        return bytes.toString('utf8', 0, tree.read(id, 0, bytes));
      }),
    write: (path, text) =>
      asSystem(() => {
        const id = find(path);
        tree.change(id, { size: 0 });
        tree.write(id, 0, Buffer.from(text));
      }),
  };
}
