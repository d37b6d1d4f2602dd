// What a node sends by PUT, such as logs and crash dumps: taken as one of its files.
import type { IncomingMessage } from 'node:http';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, systemCode } from '../base/errors.ts';
import { openUpload, type UploadPlace } from '../base/upload.ts';

/** Where a client's files go; undefined if it may send none. */
export type UploadTo = (client: Ipv4) => UploadPlace | undefined;

export type Uploaded =
  | { readonly kind: 'kept'; readonly name: string; readonly bytes: number }
  | { readonly kind: 'refused'; readonly status: 400 | 403 | 413; readonly message: string }
  /** The client went away; nothing is kept. */
  | { readonly kind: 'gone' };

/** The resource is `/uploads/NAME`. */
const resource = /^\/uploads\/([\w+][\w.+-]{0,199})$/;

/** Takes the body of a PUT of `path`; a file of the same name is replaced. `progress` is told the bytes so far. Throws `upload.failed` when they cannot be written. */
export async function takeUpload(place: UploadPlace | undefined, path: string, request: IncomingMessage, progress: (bytes: number) => void): Promise<Uploaded> {
  if (place === undefined) return { kind: 'refused', status: 403, message: 'This server takes no files from you' };
  const name = resource.exec(path)?.[1];
  if (name === undefined) return { kind: 'refused', status: 400, message: 'Send it to /uploads/NAME, with letters, digits, dots and dashes in NAME' };
  try {
    return await receive(place, name, request, progress);
  } catch (error) {
    if (error instanceof FarmError && error.code === 'upload.full') return { kind: 'refused', status: 413, message: error.message };
    const reason = systemCode(error) ?? 'see cause';
    throw new FarmError('upload.failed', `${place.directory}/${name} cannot be written: ${reason}`, 'make room, or mend permissions', error);
  }
}

async function receive(place: UploadPlace, name: string, request: IncomingMessage, progress: (bytes: number) => void): Promise<Uploaded> {
  const file = await openUpload({ ...place, name, replace: true }, Number(request.headers['content-length'] ?? 0));
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      const piece = Buffer.from(chunk);
      bytes += piece.length;
      await file.write(piece);
      progress(bytes);
    }
    await file.commit();
    return { kind: 'kept', name, bytes };
  } catch (error) {
    if (request.destroyed && !request.complete) return { kind: 'gone' };
    throw error;
  } finally {
    await file.discard();
  }
}
