// The server's certificate and key: read, checked against each other and the calendar, and read again when they are renewed.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';

/** Each is a path, or the PEM text itself. The certificate's file may go on with those of its issuers. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** Whom it is for, as a person knows it. */
  readonly subject: string;
  /** Milliseconds since the epoch. */
  readonly validFrom: number;
  readonly validTo: number;
}

const pem = /-----BEGIN [A-Z0-9 ]+-----/;

/** A renewed pair is two files, written one after the other: looked at so often, and taken when it was the same twice. */
const watchMilliseconds = 5000;

/** Renewal is due before: certbot renews with 30 days left, so something is wrong by then. */
const soonMilliseconds = 14 * 86_400_000;

/** Reads and checks both. Throws `FarmError`: `tls.absent`, `tls.unreadable`, `tls.certificate`, `tls.key`, `tls.mismatch`. */
export function readTls(files: TlsFiles): TlsMaterial {
  const cert = text(files.certificate, 'certificate');
  const key = text(files.key, 'key');
  const certificate = parseCertificate(cert, files.certificate);
  if (!certificate.checkPrivateKey(parseKey(key, files.key))) {
    throw new FarmError(
      'tls.mismatch',
      `the key ${named(files.key)} does not belong to the certificate ${named(files.certificate)} (${certificate.subject.replaceAll('\n', ', ')})`,
      "take both from the same renewal; in a file with a chain the server's own certificate comes first",
    );
  }
  return {
    cert,
    key,
    subject: certificate.subject.replaceAll('\n', ', '),
    validFrom: Date.parse(certificate.validFrom),
    validTo: Date.parse(certificate.validTo),
  };
}

function text(source: string, what: string): string {
  if (pem.test(source)) return source;
  try {
    return readFileSync(source, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new FarmError('tls.absent', `the TLS ${what} ${source} is not there`, `put it there, or correct tls.${what} in farm.yaml`, error);
    }
    throw new FarmError('tls.unreadable', `the TLS ${what} ${source} cannot be read: ${sentence(error)}`, 'give the server read permission', error);
  }
}

function parseCertificate(cert: string, source: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (error) {
    throw new FarmError(
      'tls.certificate',
      `${named(source)} is no certificate in PEM: ${sentence(error)}`,
      'it begins with -----BEGIN CERTIFICATE-----',
      error,
    );
  }
}

function parseKey(key: string, source: string): KeyObject {
  try {
    return createPrivateKey(key);
  } catch (error) {
    const isLocked = /ENCRYPTED/.test(key);
    throw new FarmError(
      'tls.key',
      isLocked ? `the key ${named(source)} has a passphrase, which nobody can type here` : `${named(source)} is no private key in PEM: ${sentence(error)}`,
      isLocked ? `take it off with: openssl pkey -in ${named(source)} -out FILE` : 'it begins with -----BEGIN PRIVATE KEY----- or names its kind there',
      error,
    );
  }
}

function named(source: string): string {
  return pem.test(source) ? 'given as text' : source;
}

/** What the calendar says against it; undefined if nothing. */
export function doubt({ subject, validFrom, validTo }: TlsMaterial, now: number): { readonly reason: string; readonly hint: string } | undefined {
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  if (now > validTo)
    return { reason: `the certificate of ${subject} expired on ${day(validTo)}: clients refuse it`, hint: 'renew it; it is taken up without a restart' };
  if (now < validFrom)
    return { reason: `the certificate of ${subject} is valid from ${day(validFrom)} on: clients refuse it`, hint: 'look at the clock of this machine' };
  if (validTo - now < soonMilliseconds)
    return { reason: `the certificate of ${subject} expires on ${day(validTo)}`, hint: 'renew it; it is taken up without a restart' };
  return undefined;
}

/** Says in the log what the calendar has against it. */
export function reportDoubt(material: TlsMaterial, log: Log, clock: Clock): void {
  const found = doubt(material, clock.now());
  if (found !== undefined) log(clock.now() > material.validTo || clock.now() < material.validFrom ? 'error' : 'warn', 'tls.doubtful', { ...found });
}

/**
 * Calls `renewed` each time the files have become another good pair than `served`. What is not good is logged and not taken: the last good pair stays.
 * Gives the function that ends it. `every`: milliseconds. By reading them: what is watched is often a chain of symlinks into a directory
 * that is replaced.
 */
export function watchTls(files: TlsFiles, served: TlsMaterial, renewed: (material: TlsMaterial) => void, log: Log, every = watchMilliseconds): () => void {
  let judged = `${served.cert}\0${served.key}`;
  let last = judged;
  function look(): void {
    const now = contents(files);
    const isQuiet = now === last;
    last = now;
    if (!isQuiet || now === judged) return;
    judged = now;
    try {
      const material = readTls(files);
      renewed(material);
      log('info', 'tls.renewed', { subject: material.subject, until: new Date(material.validTo).toISOString() });
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      log('error', 'tls.refused', { code: error.code, reason: error.message, hint: error.hint });
    }
  }
  const timer = setInterval(look, every).unref();
  return () => clearInterval(timer);
}

/** All that both say, or why they cannot be read. */
function contents({ certificate, key }: TlsFiles): string {
  try {
    return `${text(certificate, 'certificate')}\0${text(key, 'key')}`;
  } catch (error) {
    return sentence(error);
  }
}
