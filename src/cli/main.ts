// The farm command: arguments in, exit status out. 0 done, 1 the answer is no, 2 could not do it.
import { Command, CommanderError } from 'commander';
import { addNodeCommand } from './add-node.ts';
import { bootCommand } from './boot.ts';
import { completionCommand } from './completion.ts';
import { ctlCommand } from './ctl.ts';
import { demoCommand } from './demo.ts';
import { dhcpCommand } from './dhcp.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommand } from './explain.ts';
import { imageCommand } from './image.ts';
import { initCommand } from './init.ts';
import { jobCommand } from './job.ts';
import { labCommand } from './lab.ts';
import { leasesCommand } from './leases.ts';
import { logCommand } from './log.ts';
import { manCommand } from './man.ts';
import { mapCommand } from './map.ts';
import { nginxCommand } from './nginx.ts';
import { nodeCommand } from './node.ts';
import { overlayCommand } from './overlay.ts';
import { version } from './package.ts';
import { powerCommand } from './power.ts';
import { privateCommand } from './private.ts';
import { renderCommand } from './render.ts';
import { exitStatus, failureJson, failureText } from './report.ts';
import { serveCommand } from './serve.ts';
import { sshCommand } from './ssh.ts';
import { statusCommand } from './status.ts';
import { topCommand } from './top.ts';
import { unitCommand } from './unit.ts';

const program = new Command('farm')
  .description('Turns a pile of diskless PCs and this server into one cluster.')
  .option('-C, --directory <dir>', 'the farm directory (default: $FARM_DIR, or upwards from here)')
  .version(version(), '-V, --version')
  .enablePositionalOptions()
  .showHelpAfterError('(farm --help shows all commands)')
  .exitOverride();

for (const add of [
  initCommand,
  imageCommand,
  addNodeCommand,
  nodeCommand,
  serveCommand,
  statusCommand,
  topCommand,
  logCommand,
  ctlCommand,
  jobCommand,
  bootCommand,
  powerCommand,
  sshCommand,
  leasesCommand,
  privateCommand,
  mapCommand,
  overlayCommand,
  renderCommand,
  dhcpCommand,
  doctorCommand,
  explainCommand,
  nginxCommand,
  labCommand,
  demoCommand,
  completionCommand,
  manCommand,
  unitCommand,
]) {
  for (const command of [add()].flat()) program.addCommand(inheriting(command, program));
}

/** With the settings of `above`, which commander gives to one level only: wrong usage of `farm node list` ends with 2, too. */
function inheriting(command: Command, above: Command): Command {
  command.copyInheritedSettings(above);
  for (const below of command.commands) inheriting(below, command);
  return command;
}

// A reader that stops early (`farm status | head -1`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 2));

let asJson = false;
program.hook('preAction', (_program, command) => {
  asJson = command.opts()['json'] === true;
});

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(asJson && !(error instanceof CommanderError) ? failureJson(error) : failureText(error));
  process.exitCode = exitStatus(error);
}
