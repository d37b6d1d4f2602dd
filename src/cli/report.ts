// What a command's failure prints: one sentence and what to do about it, or both as JSON; a stack only where the program is wrong.
import { CommanderError } from 'commander';
import { FarmError, systemCode } from '../base/errors.ts';

const notYours = 'it belongs to another user: run this command as that user, or as root';

/** What the system refuses can happen at any file, so it is told here rather than at each. */
export const systemHints: Readonly<Record<string, string>> = {
  EACCES: notYours,
  EPERM: notYours,
  EROFS: 'the file system is mounted read-only',
  ENOSPC: 'the disk is full: df -h',
  EDQUOT: 'the disk quota of this user is used up',
};

/** The text for stderr; empty if commander has told the user already. */
export function failureText(error: unknown): string {
  if (error instanceof CommanderError) return '';
  if (error instanceof FarmError) return `farm: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`;
  const hint = systemHints[systemCode(error) ?? ''];
  if (error instanceof Error && hint !== undefined) return `farm: ${error.message}\n  ${hint}\n`;
  return `farm: internal error; please report it with what is below\n${error instanceof Error ? error.stack : String(error)}\n`;
}

/** One line of JSON in place of `failureText`, for a program: docs/reference/errors.md. */
export function failureJson(error: unknown): string {
  return `${JSON.stringify({ error: failure(error) })}\n`;
}

function failure(error: unknown): { readonly code: string; readonly message: string; readonly hint?: string | undefined } {
  if (error instanceof FarmError) return { code: error.code, message: error.message, hint: error.hint };
  const code = systemCode(error) ?? '';
  const hint = systemHints[code];
  if (error instanceof Error && hint !== undefined) return { code, message: error.message, hint };
  return { code: 'internal', message: error instanceof Error ? (error.stack ?? error.message) : String(error), hint: 'please report it' };
}

/** 0 for `--help` and `--version`, which commander throws as well; 2: could not do it. */
export function exitStatus(error: unknown): number {
  return error instanceof CommanderError && error.exitCode === 0 ? 0 : 2;
}
