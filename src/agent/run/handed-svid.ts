import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { tlsMaterialOf, type Svid } from '../../core/identity/svid.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { HandedFile } from '../task/handed-file.ts';
import type { Handover } from '../task/handover.ts';
import type { OwnSvid } from './own-svid.ts';

const PRIVATE_FOLDER_MODE = 0o700;
const MARK_BYTES = 6;

/** The files in the folder of `--svid-folder`. */
export const svidFilesIn = (folder: string): readonly [svid: string, bundle: string] => [
  join(folder, 'svid.pem'),
  join(folder, 'bundle.pem'),
];

/**
 * Keeps the SVID of a run in a folder, for a command that needs a client certificate: `svid.pem` has the certificate and its
 * key, so that the two always fit, and `bundle.pem` the CA certificates of its trust domain. Both are replaced at each renewal
 * until `close`, which removes them. The folder is made if it is missing, mode 0700.
 */
export async function handOverSvid(
  folder: string,
  svid: Pick<OwnSvid, 'now' | 'onChange'>,
  { tell, ports }: { readonly tell: (line: string) => void; readonly ports: Pick<Ports, 'randomBytes'> },
): Promise<Handover | Problem> {
  const first = await svid.now();
  if (isProblem(first)) return first;
  const made = await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER_MODE }).catch((error: Error) => error);
  if (made instanceof Error) return { problem: `the folder \`${folder}\` could not be made: ${made.message}` };
  const mark = Buffer.from(ports.randomBytes(MARK_BYTES)).toString('base64url');
  const [svidPath, bundlePath] = svidFilesIn(folder);
  const file = new HandedFile(svidPath, { what: 'SVID', mark });
  const bundleFile = new HandedFile(bundlePath, { what: 'bundle', mark });
  const write = async (renewed: Svid): Promise<Problem | null> => {
    const { certificate, key, bundle } = tlsMaterialOf(renewed);
    // The bundle first: a new certificate may need it.
    return (await bundleFile.write(bundle)) ?? (await file.write(certificate + key));
  };
  const problem = await write(first);
  if (problem !== null) return problem;
  let isClosed = false;
  let last: Promise<void> = Promise.resolve();
  const replace = async (before: Promise<void>, renewed: Svid): Promise<void> => {
    await before;
    const failed = isClosed ? null : await write(renewed);
    if (failed !== null) tell(failed.problem);
  };
  svid.onChange((renewed) => {
    last = replace(last, renewed);
  });
  return {
    variables: { REMIT_SVID: svidPath, REMIT_BUNDLE: bundlePath },
    close: async () => {
      isClosed = true;
      await last;
      await Promise.all([file.remove(), bundleFile.remove()]);
    },
  };
}
