// Runs a command of farm in this process and keeps what it writes.
import { Command } from 'commander';
import { failureText } from '../../src/cli/report.ts';

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** `farm -C directory ...words`, of which `command` is the only one. */
export async function runCommand(command: Command, directory: string, words: readonly string[]): Promise<Ran> {
  const said = { stdout: '', stderr: '' };
  const { stdout, stderr } = process;
  const before = { stdout: stdout.write, stderr: stderr.write, log: console.log };
  const keep = (stream: 'stdout' | 'stderr') => (text: string | Uint8Array) => {
    said[stream] += String(text);
    return true;
  };
  stdout.write = keep('stdout');
  stderr.write = keep('stderr');
  console.log = (text: unknown) => void keep('stdout')(`${String(text)}\n`);
  process.exitCode = 0;
  try {
    const program = new Command('farm').option('-C, --directory <dir>').enablePositionalOptions().exitOverride();
    program.addCommand(command.copyInheritedSettings(program));
    await program.parseAsync(['-C', directory, ...words], { from: 'user' });
    return { ...said, status: Number(process.exitCode) };
  } catch (error) {
    return { stdout: said.stdout, stderr: `${said.stderr}${failureText(error)}`, status: 2 };
  } finally {
    Object.assign(stdout, { write: before.stdout });
    Object.assign(stderr, { write: before.stderr });
    console.log = before.log;
    process.exitCode = 0;
  }
}
