import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeny } from '../decision/decision.ts';
import { leafFromDer } from '../identity/leaf.ts';
import type { Leaf } from '../identity/leaf.ts';
import { isProblem, type Problem } from '../token/members.ts';

/** Where the SVID of this workload is: PEM files that something else renews, such as spiffe-helper. */
export interface SvidFiles {
  /** The certificate, with its intermediates after it. */
  readonly certificate: string;
  readonly key: string;
  /** The bundle that the issuer's certificate must chain to. */
  readonly bundle: string;
}

/** An SVID as it is on disk now. */
export interface ReadSvid {
  readonly certificate: string;
  /** A secret. */
  readonly key: string;
  readonly bundle: string;
  readonly leaf: Leaf;
}

/** A pair that does not fit together is being replaced right now: it is read again so often, so far apart. */
const RETRIES = 5;
const RETRY_MS = 100;

/** Reads the SVID anew: certificate and key that fit together, and the bundle. The problem names a file and never quotes it. */
export async function readSvid(files: SvidFiles): Promise<ReadSvid | Problem> {
  for (let attempt = 0; ; attempt++) {
    const svid = await readOnce(files);
    if (!isProblem(svid) || attempt === RETRIES || !svid.problem.startsWith(MISFIT)) return svid;
    await delay(RETRY_MS);
  }
}

const MISFIT = 'certificate and key do not fit together';

async function readOnce(files: SvidFiles): Promise<ReadSvid | Problem> {
  const [certificate, key, bundle] = await Promise.all([
    textOf(files.certificate, 'the certificate'),
    textOf(files.key, 'the key'),
    textOf(files.bundle, 'the bundle'),
  ]);
  if (isProblem(certificate)) return certificate;
  if (isProblem(key)) return key;
  if (isProblem(bundle)) return bundle;
  const leaf = leafOf(certificate, files.certificate);
  if (isProblem(leaf)) return leaf;
  try {
    if (new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
      return { certificate, key, bundle, leaf };
  } catch {
    return { problem: `${MISFIT}: \`${files.key}\` is no private key in PEM` };
  }
  return { problem: `${MISFIT}: \`${files.certificate}\` and \`${files.key}\`` };
}

/** The thumbprint of the certificate on disk, as `x5t#S256` has it; `null` where there is none to be read just now. */
export async function thumbprintNow(files: Pick<SvidFiles, 'certificate'>): Promise<string | null> {
  const certificate = await textOf(files.certificate, 'the certificate');
  if (isProblem(certificate)) return null;
  const leaf = leafOf(certificate, files.certificate);
  return isProblem(leaf) ? null : leaf.sha256;
}

function leafOf(certificate: string, file: string): Leaf | Problem {
  try {
    // Of a file with several it reads the first, which is the leaf.
    const leaf = leafFromDer(new X509Certificate(certificate).raw);
    return isDeny(leaf) ? { problem: `\`${file}\` is not an X509-SVID: ${leaf.detail}` } : leaf;
  } catch {
    return { problem: `\`${file}\` is no certificate in PEM` };
  }
}

const textOf = (file: string, what: string): Promise<string | Problem> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => ({
    problem: `${what} \`${file}\` cannot be read: ${error.code ?? 'unknown error'}`,
  }));
