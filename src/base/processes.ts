// The door to other programs: run one to its end, with its output and a clear error when it fails.
import { spawn } from 'node:child_process';
import { FarmError, systemCode } from './errors.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Buffer;
  /** Called with each line the program writes to stderr, as it comes. */
  readonly onStderr?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** How much of a failed program's stderr is quoted: enough for its reason, not its whole log. */
const quotedLines = 8;

/** Runs `command` and gives its stdout; throws `FarmError` with code `program.missing` or `program.failed`, or the signal's reason. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  const child = spawn(command, args, { cwd: options.cwd, env: options.env, signal: options.signal, stdio: ['pipe', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  const errors: string[] = [];
  let partial = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (partial + chunk).split(/[\r\n]+/);
    partial = lines.pop() ?? '';
    for (const line of lines) {
      errors.push(line);
      options.onStderr?.(line);
    }
    if (errors.length > 200) errors.splice(0, errors.length - quotedLines);
  });
  child.stdin.on('error', () => {}); // a program that ends without reading its input is judged by its exit status
  child.stdin.end(options.input);
  const status = await new Promise<string>((resolve, reject) => {
    child.on('error', (error) => {
      if (options.signal?.aborted === true) return reject(options.signal.reason); // which says more than Node's AbortError
      const missing = systemCode(error) === 'ENOENT';
      reject(missing ? new FarmError('program.missing', `${command} is not installed`, `apt-get install the package that has ${command}`, error) : error);
    });
    child.on('close', (code, signal) => resolve(signal === null ? String(code) : signal));
  });
  if (status !== '0') {
    if (partial !== '') errors.push(partial);
    const quote = errors.slice(-quotedLines).join('\n  ');
    throw new FarmError(
      'program.failed',
      `${command} ended with ${status}${quote === '' ? '' : `:\n  ${quote}`}`,
      `the call was: ${[command, ...args].join(' ').slice(0, 400)}`,
    );
  }
  return Buffer.concat(stdout);
}
