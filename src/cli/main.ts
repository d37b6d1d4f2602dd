// The farm command: arguments in, exit status out. 0 done, 1 the answer is no, 2 could not do it.
import { Command, CommanderError } from 'commander';
import { commandsFor, wantedCommands } from './commands.ts';
import { version } from './package.ts';
import { exitStatus, failureJson, failureText } from './report.ts';

const program = new Command('farm')
  .description('Turns a pile of diskless PCs and this server into one cluster.')
  .option('-C, --directory <dir>', 'the farm directory (default: $FARM_DIR, or upwards from here)')
  .version(version(), '-V, --version')
  .enablePositionalOptions()
  .showHelpAfterError('(farm --help shows all commands)')
  .exitOverride();

for (const command of await commandsFor(wantedCommands(process.argv.slice(2)), (name) => new Command(name))) program.addCommand(inheriting(command, program));

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
