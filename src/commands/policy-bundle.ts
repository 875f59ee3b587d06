import { writeFile } from 'node:fs/promises';
import { bundleKeyFrom, signedBundle } from '../policy/bundle/bundle.ts';
import type { Bundle, BundleHead } from '../policy/bundle/bundle.ts';
import { policySetFrom } from '../policy/loading/load.ts';
import { readPolicySource } from '../policy/loading/source.ts';
import { systemPorts } from '../runtime/ports.ts';
import { isProblem } from '../runtime/problem.ts';
import { signedBundleAt, bundleFileText } from './bundle-file.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { counted, findingLines, shownFiles } from './finding-lines.ts';
import { optionsFrom } from './options.ts';
import { isCommandRefusal, refusal, refused as refusalSaid } from './task-source.ts';
import type { CommandRefusal } from './task-source.ts';

const help = `remit policy bundle: sign a policy folder, or check a signed one

usage: remit policy bundle [FOLDER] --key FILE --serial N --out FILE [--version TEXT] [--days N] [--json]
       remit policy bundle --verify FILE --keys FILE [--json]
       remit policy bundle --public FILE

  FOLDER         a policy folder that validates; default \`cedar-policies\`
  --key FILE     the private key, PEM: P-256, Ed25519 or RSA
  --serial N     a number that never decreases: a Remit refuses a bundle whose serial is below that of the last one in force
  --out FILE     the file to write
  --version TEXT any text; default the serial
  --days N       lifetime in days, 1 to 366; default 30. Afterwards every check is denied with \`policy.expired\`
  --verify FILE  a bundle to verify with the JWK Set of \`--keys\`
  --public FILE  print the JWK Set of a private key, for \`policies.bundle.keys\`
  --json         one object: version, serial, issuedAt, expiresAt, hash, policyFiles

A bundle is a compact JWS (RFC 7515) of type \`remit-policies+jws\` over all files of the folder. Its hash is the hash of the
policy set, which each decision names.

  openssl genpkey -algorithm ed25519 -out bundle.pem
  remit policy bundle --public bundle.pem > bundle-keys.json
  remit policy bundle --key bundle.pem --serial 42 --out policies.jws
  remit policy bundle --verify policies.jws --keys bundle-keys.json

exit codes: 0 success, 1 the folder has findings or the bundle is invalid, 2 bad use or an unreadable file`;

/** `remit policy bundle`. */
export const policyBundle: Command = { name: 'policy bundle', help, run: bundle };

type Io = Pick<CommandIo, 'out' | 'err'>;

const DAY_MS = 86_400_000;
const MAX_DAYS = 366;
const one = { type: 'string' } as const;

async function bundle(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(
    args,
    {
      key: one,
      serial: one,
      out: one,
      version: one,
      days: { type: 'string', default: '30' },
      verify: one,
      keys: one,
      public: one,
      json: { type: 'boolean', default: false },
    },
    1,
  );
  if (typeof options === 'string') return refused(io, options);
  const { key, serial, out, version, days, verify, keys, json } = options.values;
  if (options.values.public !== undefined) return printPublic(io, options.values.public);
  if (verify !== undefined) {
    return keys === undefined ? refused(io, '`--verify` needs `--keys`') : check(io, { file: verify, keys, json });
  }
  if (key === undefined || serial === undefined || out === undefined)
    return refused(io, 'expected `--key`, `--serial` and `--out`, or `--verify`, or `--public`');
  if (!isWhole(serial, Number.MAX_SAFE_INTEGER)) return refused(io, '`--serial` must be a whole number above 0');
  if (!isWhole(days, MAX_DAYS)) return refused(io, `\`--days\` must be a whole number from 1 to ${MAX_DAYS}`);
  const issuedAtMs = systemPorts.nowMs();
  const head = {
    version: version ?? serial,
    serial: Number(serial),
    issuedAtMs,
    expiresAtMs: issuedAtMs + Number(days) * DAY_MS,
  };
  return sign(io, options.operands[0] ?? 'cedar-policies', { key, out, head, json });
}

const isWhole = (word: string, max: number): boolean =>
  /^[1-9]\d{0,15}$/.test(word) && Number(word) <= max && Number.isSafeInteger(Number(word));

async function sign(
  io: Io,
  folder: string,
  {
    key: keyFile,
    out,
    head,
    json,
  }: { readonly key: string; readonly out: string; readonly head: BundleHead; readonly json: boolean },
): Promise<number> {
  const pem = await bundleFileText(keyFile);
  if (isCommandRefusal(pem)) return refusedWith(io, pem);
  const key = await bundleKeyFrom(pem.text);
  if (isProblem(key)) return refused(io, `the key \`${keyFile}\` ${key.problem}`);
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(io, `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  const set = 'findings' in source ? source : await policySetFrom(source);
  if ('findings' in source || 'findings' in set) {
    const { findings } = 'findings' in set ? set : { findings: [] };
    const files = shownFiles('findings' in source ? null : source);
    for (const finding of findings) for (const line of findingLines(finding, { files })) io.err(line);
    io.err(counted(findings.length, 'finding'));
    return EXIT.no;
  }
  try {
    await writeFile(out, `${await signedBundle(source, head, key)}\n`);
  } catch (error) {
    return refused(io, `\`${out}\` could not be written: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
  print(io, { ...head, keyId: key.jwk.kid ?? null, hash: set.hash, source }, json);
  return EXIT.good;
}

async function check(
  io: Io,
  { file, keys: keysFile, json }: { readonly file: string; readonly keys: string; readonly json: boolean },
): Promise<number> {
  const found = await signedBundleAt(file, keysFile);
  if (isCommandRefusal(found)) return refusedWith(io, found);
  const set = await policySetFrom(found.source);
  if ('findings' in set) {
    for (const finding of set.findings)
      for (const line of findingLines(finding, { files: shownFiles(found.source) })) io.err(line);
    return no(io, `\`${file}\` is signed, and would not load: ${counted(set.findings.length, 'finding')}`);
  }
  if (systemPorts.nowMs() >= found.expiresAtMs)
    return no(io, `\`${file}\` expired at ${new Date(found.expiresAtMs).toISOString()}`);
  print(io, found, json);
  return EXIT.good;
}

async function printPublic(io: Io, file: string): Promise<number> {
  const pem = await bundleFileText(file);
  if (isCommandRefusal(pem)) return refusedWith(io, pem);
  const key = await bundleKeyFrom(pem.text);
  if (isProblem(key)) return refused(io, `the key \`${file}\` ${key.problem}`);
  io.out(JSON.stringify({ keys: [key.jwk] }));
  return EXIT.good;
}

function print(io: Io, { version, serial, issuedAtMs, expiresAtMs, hash, source }: Bundle, json: boolean): void {
  const [issuedAt, expiresAt] = [issuedAtMs, expiresAtMs].map((ms) => new Date(ms).toISOString());
  const files = source.policies.length;
  if (json) io.out(JSON.stringify({ version, serial, issuedAt, expiresAt, hash, policyFiles: files }));
  else
    io.out(`version ${version}, serial ${serial}, until ${expiresAt}, ${counted(files, 'policy file')}, set ${hash}`);
}

const refusedWith = (io: Io, problem: CommandRefusal): number => refusalSaid(io, 'remit policy bundle', problem);

const no = (io: Io, problem: string): number => refusedWith(io, refusal(problem, EXIT.no));

const refused = (io: Io, problem: string): number => refusedWith(io, refusal(problem));
