import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { exitStatus, failureJson, failureText } from '../../src/cli/report.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: permission denied, open '/farm/state/key'`), { code });
}

describe('a failed command', () => {
  it('prints what is wrong and what to do', () => {
    expect(failureText(new FarmError('node.full', 'no address is free', 'widen `range`'))).toBe('farm: no address is free\n  widen `range`\n');
    expect(failureText(new FarmError('node.full', 'no address is free'))).toBe('farm: no address is free\n');
  });

  it('prints no stack for what the system refuses this user', () => {
    expect(failureText(systemError('EACCES'))).toBe(
      "farm: EACCES: permission denied, open '/farm/state/key'\n  it belongs to another user: run this command as that user, or as root\n",
    );
  });

  it('prints the stack of anything else, which is a bug', () => {
    const thrown = ((): unknown => {
      try {
        return readFileSync('/nonexistent/farm');
      } catch (error) {
        return error;
      }
    })();
    expect(failureText(thrown)).toMatch(/^farm: internal error; please report it[\s\S]*report\.test\.ts/);
    expect(exitStatus(thrown)).toBe(2);
  });

  it.each([
    [new FarmError('node.full', 'no address is free', 'widen `range`'), { code: 'node.full', message: 'no address is free', hint: 'widen `range`' }],
    [new FarmError('node.full', 'no address is free'), { code: 'node.full', message: 'no address is free' }],
    [systemError('EROFS'), { code: 'EROFS', message: expect.stringContaining('/farm/state/key'), hint: 'the file system is mounted read-only' }],
    [new TypeError('x is not a function'), { code: 'internal', message: expect.stringContaining('report.test.ts'), hint: 'please report it' }],
    [systemError('EMFILE'), { code: 'internal', message: expect.stringContaining('EMFILE'), hint: 'please report it' }],
  ])('is one line of JSON for a program: %s', (error, told) => {
    const text = failureJson(error);
    expect(text.indexOf('\n')).toBe(text.length - 1);
    expect(JSON.parse(text)).toEqual({ error: told });
  });

  it('leaves to commander what commander has said', () => {
    expect(failureText(new CommanderError(1, 'commander.unknownOption', 'unknown option'))).toBe('');
    expect(exitStatus(new CommanderError(1, 'commander.unknownOption', 'unknown option'))).toBe(2);
    expect(exitStatus(new CommanderError(0, 'commander.helpDisplayed', 'help'))).toBe(0);
  });
});
