// bash itself, asked what Tab would do.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('bash completes commands, options and nodes', () => {
  const top = fileURLToPath(new URL('../..', import.meta.url));
  const directory = mkdtempSync(join(tmpdir(), 'farm-completion-'));
  const ask = (...words: readonly string[]): string =>
    execFileSync('bash', ['-c', `eval "$(farm completion bash)"; COMP_WORDS=(farm "$@"); COMP_CWORD=$#; _farm; echo "\${COMPREPLY[*]}"`, 'bash', ...words], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${join(top, 'bin')}:${process.env['PATH']}`, FARM_DIR: directory },
    }).trim();
  try {
    execFileSync(join(top, 'bin', 'farm'), ['init', directory, '--interface', 'eth1', '--address', '10.11.0.1/24']);
    execFileSync(join(top, 'bin', 'farm'), ['-C', directory, 'add-node', '52:54:00:00:00:01', '52:54:00:00:00:02']);
    expect(ask('doc')).toBe('doctor');
    expect(ask('node', 'show', 'n')).toBe('n1 n2');
    expect(ask('add-node', '--disc')).toBe('--discover');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
