// The commands of farm, in the order in which --help lists them. Each is read when it is asked for: what the others need is most of the program.
import type { Command } from 'commander';

/** By name; `./commands.ts` alone knows which file makes which. */
const makers: Readonly<Record<string, () => Promise<() => Command>>> = {
  init: async () => (await import('./init.ts')).initCommand,
  image: async () => (await import('./image.ts')).imageCommand,
  'add-node': async () => (await import('./add-node.ts')).addNodeCommand,
  node: async () => (await import('./node.ts')).nodeCommand,
  serve: async () => (await import('./serve.ts')).serveCommand,
  status: async () => (await import('./status.ts')).statusCommand,
  top: async () => (await import('./top.ts')).topCommand,
  log: async () => (await import('./log.ts')).logCommand,
  ctl: async () => (await import('./ctl.ts')).ctlCommand,
  job: async () => (await import('./job.ts')).jobCommand,
  boot: async () => (await import('./boot.ts')).bootCommand,
  power: async () => (await import('./power.ts')).powerCommand,
  ssh: async () => (await import('./ssh.ts')).sshCommand,
  leases: async () => (await import('./leases.ts')).leasesCommand,
  private: async () => (await import('./private.ts')).privateCommand,
  map: async () => (await import('./map.ts')).mapCommand,
  overlay: async () => (await import('./overlay.ts')).overlayCommand,
  render: async () => (await import('./render.ts')).renderCommand,
  dhcp: async () => (await import('./dhcp.ts')).dhcpCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  explain: async () => (await import('./explain.ts')).explainCommand,
  nginx: async () => (await import('./nginx.ts')).nginxCommand,
  lab: async () => (await import('./lab.ts')).labCommand,
  demo: async () => (await import('./demo.ts')).demoCommand,
  completion: async () => (await import('./completion.ts')).completionCommand,
  man: async () => (await import('./man.ts')).manCommand,
  unit: async () => (await import('./unit.ts')).unitCommand,
};

export const commandNames: readonly string[] = Object.keys(makers);

/** `names` in full; all others by their names alone. */
export function commandsFor(names: readonly string[], bare: (name: string) => Command): Promise<readonly Command[]> {
  return Promise.all(Object.entries(makers).map(async ([name, maker]) => (names.includes(name) ? (await maker())() : bare(name))));
}

/** Commands that look at all others. */
const lookingAround: readonly string[] = ['man'];

/**
 * Which commands `words`, the arguments of farm, need: the one that is named, and for Tab also the one that is on the line. All of them where none is
 * named rightly, for the usage or the complaint speaks of all.
 */
export function wantedCommands(words: readonly string[]): readonly string[] {
  const at = commandAt(words);
  const name = words[at] ?? '';
  if (!commandNames.includes(name) || lookingAround.includes(name)) return commandNames;
  if (name !== 'completion') return [name];
  const line = words.slice(words.indexOf('--', at) < 0 ? at + 2 : words.indexOf('--', at) + 1);
  return ['completion', line[commandAt(line)] ?? ''];
}

/** Behind the options of farm itself: `-C DIR`, `-CDIR`, `--directory DIR`, `--directory=DIR`. */
function commandAt(words: readonly string[]): number {
  let at = 0;
  while (words[at]?.startsWith('-') === true) at += words[at] === '-C' || words[at] === '--directory' ? 2 : 1;
  return at;
}
