// Our side: a farm of its own with the image that all tests share, its nodes without any state from before.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { mac } from '../../dist/base/addresses.js';
import { silentLog } from '../../dist/base/log.js';
import { builtinOverlay, commandPath, programFiles } from '../../dist/cli/package.js';
import { imagesDirectory, stateDirectory } from '../../dist/farm/directory.js';
import { Images } from '../../dist/farm/images.js';
import { initFarm } from '../../dist/farm/init.js';
import { LiveFarm } from '../../dist/farm/live.js';
import { addNodes } from '../../dist/farm/nodes.js';
import { top } from '../../scripts/ready.mjs';

const image = 'debian-13';
const sharedImages = join(top, '.farm', 'images');

/** The machines' consoles are serial ports; both sides' kernels get this. */
export const consoleArgs = 'console=ttyS0,115200 no_timer_check'; // src/lab/lab.ts says why

/**
 * Makes a farm with `count` nodes; the image is built if there is none yet. Gives `directory`, `network`, `nodes`, the image's `version`
 * (`debian-13/4f2a90cc1b7e`) and `base`: that image with the overlays rendered for these nodes, as the NFS service has it.
 */
export function makeFarm(directory, count) {
  initFarm(directory, { name: 'bench', interface: 'farm0', address: '10.11.0.1/24', range: '10.11.0.11-10.11.0.250' }, []);
  rmSync(imagesDirectory(directory), { recursive: true });
  mkdirSync(sharedImages, { recursive: true });
  symlinkSync(sharedImages, imagesDirectory(directory));
  if (!existsSync(join(sharedImages, image, 'current'))) {
    execFileSync(process.execPath, [commandPath, '-C', directory, 'image', 'build', image], { stdio: 'inherit' });
  }
  addNodes(
    directory,
    Array.from({ length: count }, (_, index) => ({ mac: mac(`52:54:00:be:00:${(index + 1).toString(16).padStart(2, '0')}`) })),
  );
  const { farm, overlay } = new LiveFarm({ directory, builtinOverlay, programFiles: programFiles(), log: silentLog }).published;
  const images = new Images(directory, overlay);
  const version = images.current(image);
  return { directory, farm, network: farm.networks[0], nodes: farm.nodes, version, base: images.base(version) };
}

export function farmSide({ directory, network, version }) {
  return {
    name: 'farm',
    title: 'farm serve (HTTP, NFSv3)',
    serve: { command: process.execPath, args: [commandPath, '-C', directory, 'serve', '--log-format', 'json', '--kernel-args', consoleArgs] },
    /** The name of the process that has port 2049; Node calls its main thread so from 22 on. */
    nfsProcess: /^(node|MainThread)$/,
    programs: /^(node|MainThread)$/,
    root: () => `${network.address.address}:/${version}`,
    async prepare() {
      for (const name of ['private', 'observed']) rmSync(join(stateDirectory(directory), name), { recursive: true, force: true });
    },
  };
}
