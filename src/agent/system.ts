// What systemd says of this node's boot: systemctl(1) is-system-running, once with --wait for the moment it is complete, then now and then.
import { execFile } from 'node:child_process';

/** While the boot goes on, and after it: a state changes rarely then, and each look costs a process. */
const bootingPoll = 5000;
const bootedPoll = 30_000;
/** systemctl answers in milliseconds; when it hangs, systemd does. */
const answerTimeout = 10_000;

/** Whether that state means that the boot is complete; `degraded`: complete, with failed units. */
export function isUp(state: string): boolean {
  return state === 'running' || state === 'degraded';
}

/** Calls `onState` with the state and again whenever it changes, until `signal` ends it. `unknown` where systemctl cannot tell. */
export function watchSystem(onState: (state: string) => void, signal: AbortSignal): void {
  let last: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  const tell = (state: string) => {
    if (signal.aborted || state === last) return;
    last = state;
    onState(state);
  };
  const look = async () => {
    tell(await systemState([], signal, answerTimeout));
    if (!signal.aborted) timer = setTimeout(() => void look(), isUp(last ?? '') ? bootedPoll : bootingPoll);
  };
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  void look();
  void systemState(['--wait'], signal, 0).then(tell);
}

/** The exit status is not 0 for every state but `running`, so only the word counts. */
function systemState(flags: readonly string[], signal: AbortSignal, timeout: number): Promise<string> {
  return new Promise((resolve) => {
    execFile('systemctl', ['is-system-running', ...flags], { signal, timeout }, (_error, stdout) => {
      const word = stdout.trim();
      resolve(/^[a-z-]{1,32}$/.test(word) ? word : 'unknown');
    });
  });
}
