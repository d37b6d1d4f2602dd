// The codes of every FarmError in the source, read from its syntax: literals, choices between them, and what a function is called with.
import ts from 'typescript';
import { nodes, place } from './logged.ts';

export interface Thrown {
  readonly place: string;
  readonly code: string;
}

export interface ThrownCodes {
  readonly thrown: readonly Thrown[];
  /** Codes that cannot be read. */
  readonly unclear: readonly string[];
}

/** An error that another process or node of ours told, or one with another hint: its code is thrown elsewhere. */
const passedOn = /^(reply|answer|word|error)\.code$/;

export function collectThrown(): ThrownCodes {
  const thrown: Thrown[] = [];
  const unclear: string[] = [];
  for (const node of nodes()) {
    const [code] = ts.isNewExpression(node) && node.expression.getText() === 'FarmError' ? (node.arguments ?? []) : [];
    if (code === undefined || passedOn.test(code.getText())) continue;
    const read = codesOf(code);
    if (read.length === 0) unclear.push(`${place(node)}: ${code.getText()}`);
    thrown.push(...read.map((text) => ({ place: place(node), code: text })));
  }
  return { thrown, unclear };
}

function codesOf(code: ts.Expression): readonly string[] {
  if (ts.isStringLiteralLike(code)) return [code.text];
  if (ts.isConditionalExpression(code)) return [...codesOf(code.whenTrue), ...codesOf(code.whenFalse)];
  return ts.isIdentifier(code) ? given(code) : [];
}

/** The codes that are the type of the parameter of this name; else what the function around it is called with, in the same file. */
function given(name: ts.Identifier): readonly string[] {
  let around: ts.Node = name;
  while (!ts.isFunctionDeclaration(around)) {
    if (ts.isSourceFile(around)) return [];
    around = around.parent;
  }
  const { parameters, name: called } = around;
  const at = parameters.findIndex((parameter) => parameter.name.getText() === name.text);
  const typed = literals(parameters[at]?.type);
  if (typed.length > 0) return typed;
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const argument = ts.isCallExpression(node) && node.expression.getText() === called?.text ? node.arguments[at] : undefined;
    if (argument !== undefined) found.push(...codesOf(argument));
    ts.forEachChild(node, visit);
  };
  if (at >= 0) visit(name.getSourceFile());
  return found;
}

/** `'job.immovable' | 'job.unrestorable'` */
function literals(type: ts.TypeNode | undefined): readonly string[] {
  if (type === undefined) return [];
  if (ts.isUnionTypeNode(type)) return type.types.flatMap(literals);
  return ts.isLiteralTypeNode(type) && ts.isStringLiteralLike(type.literal) ? [type.literal.text] : [];
}
