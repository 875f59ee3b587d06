/** `remit policy bundle`: sign a policy folder, with a serial and an expiry. */
import { writeFile } from 'node:fs/promises';
import { bundleName, MAX_SIGNATURES } from '../../core/config/policies.ts';
import { bundleFrom, bundleKeyFrom, cosignedBundle, signedBundle } from '../../core/policy/bundle/bundle.ts';
import type { Bundle, BundleHead, BundleKey } from '../../core/policy/bundle/bundle.ts';
import { signingKeysFrom } from '../../core/policy/bundle/bundle-keys.ts';
import { policySetFrom } from '../../core/policy/loading/load.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { signedBundleAt, signedBundleFrom, bundleFileText } from './bundle-file.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { setChanges } from '../../tools/policy/compare/set-changes.ts';
import type { SetChanges } from '../../tools/policy/compare/set-changes.ts';
import { changeLines } from './comparison-text.ts';
import { EXIT, refused as refusalSaid } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingCounts, findingLines, shownFiles } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';
import { policySetAt } from './policy-operand.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

const help = `remit policy bundle: sign a policy folder, or check a signed one

usage: remit policy bundle [FOLDER] --name NAME --key FILE --serial N --out FILE [--version TEXT] [--days N] [--json]
       remit policy bundle sign FILE [FOLDER] --key FILE --out FILE [--keys FILE] [--against OLD] [--json]
       remit policy bundle --verify FILE --keys FILE [--name NAME] [--signatures N] [--json]
       remit policy bundle --public FILE [--for NAME ...]

  FOLDER         a policy folder that validates; default \`cedar-policies\`. With \`sign\` it is optional, and must be what the bundle has
  --name NAME    what the policies are for, such as \`prod/payments\`: \`policies.bundle.name\` of each Remit that takes them
  --key FILE     the private key, PEM: P-256, Ed25519 or RSA
  --serial N     a number that never decreases: a Remit refuses a bundle whose serial is below that of the last one in force
  --out FILE     the file to write
  --version TEXT any text; default the serial
  --days N       lifetime in days, 1 to 366; default 30. Afterwards every check is denied with \`policy.expired\`
  sign FILE      add a signature to this bundle, for a Remit with \`policies.bundle.signatures: 2\`, and show what was signed; also --sign
  --keys FILE    with \`sign\`: refuse a bundle that none of these keys signed before, and name all who signed
  --against OLD  with \`sign\`: show how it differs from this folder, or bundle of the same keys, such as the set in force
  --verify FILE  a bundle to verify with the JWK Set of \`--keys\`
  --signatures N how many keys must have signed it, 1 to ${MAX_SIGNATURES}; default 1
  --public FILE  print the JWK Set of a private key, for \`policies.bundle.keys\`
  --for NAME     limit that key to bundles of this name, or with a final \`*\` to names that begin so; may be repeated
  --json         one object: name, version, serial, issuedAt, expiresAt, hash, policyFiles, signers, and with --against changes

A bundle is a JWS (RFC 7515) of type \`remit-policies+jws\` over all files of the folder. Its hash is the hash of the
policy set, which each decision names.

  openssl genpkey -algorithm ed25519 -out bundle.pem
  remit policy bundle --public bundle.pem --for 'prod/*' > bundle-keys.json
  remit policy bundle --name prod/payments --key bundle.pem --serial 42 --out policies.jws
  remit policy bundle --verify policies.jws --keys bundle-keys.json
  remit policy bundle sign policies.jws cedar-policies --keys bundle-keys.json --against in-force.jws --key second.pem --out policies.jws

exit codes: 0 success, 1 the folder has findings, differs from the bundle to sign, or the bundle is invalid, 2 bad use or an unreadable file`;

/** `remit policy bundle`. */
export const policyBundle: Command = { name: 'policy bundle', help, run: bundle };

type Io = Pick<CommandIo, 'out' | 'err'>;

const DAY_MS = 86_400_000;
const MAX_DAYS = 366;
const one = { type: 'string' } as const;

async function bundle(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(
    args[0] === 'sign' ? ['--sign', ...args.slice(1)] : args,
    {
      key: one,
      serial: one,
      name: one,
      out: one,
      sign: one,
      against: one,
      signatures: { type: 'string', default: '1' },
      for: { type: 'string', multiple: true },
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
  const { key, serial, out, version, days, verify, keys, json, name } = options.values;
  const [folder] = options.operands;
  if (options.values.public !== undefined) return printPublic(io, options.values.public, options.values.for ?? []);
  if (verify !== undefined) return check(io, verify, { keys, name, signatures: options.values.signatures, json });
  if (options.values.sign !== undefined) {
    if (key === undefined || out === undefined) return refused(io, '`--sign` needs `--key` and `--out`');
    return cosign(io, options.values.sign, { folder, key, out, keys, against: options.values.against, json });
  }
  if (options.values.against !== undefined) return refused(io, '`--against` goes with `sign`');
  if (name === undefined || key === undefined || serial === undefined || out === undefined)
    return refused(io, 'expected `--name`, `--key`, `--serial` and `--out`, or `--sign`, or `--verify`, or `--public`');
  const named = bundleName(name);
  if (isProblem(named)) return refused(io, `\`--name ${name}\` ${named.problem}`);
  if (!isWhole(serial, Number.MAX_SAFE_INTEGER)) return refused(io, '`--serial` must be a whole number above 0');
  if (!isWhole(days, MAX_DAYS)) return refused(io, `\`--days\` must be a whole number from 1 to ${MAX_DAYS}`);
  const issuedAtMs = systemPorts.nowMs();
  const head = {
    name,
    version: version ?? serial,
    serial: Number(serial),
    issuedAtMs,
    expiresAtMs: issuedAtMs + Number(days) * DAY_MS,
  };
  return sign(io, folder ?? 'cedar-policies', { key, out, head, json });
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
  const key = await keyAt(keyFile);
  if (isCommandRefusal(key)) return refusedWith(io, key);
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(io, `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  const set = 'findings' in source ? source : await policySetFrom(source);
  if ('findings' in source || 'findings' in set) {
    const { findings } = 'findings' in set ? set : { findings: [] };
    const files = shownFiles('findings' in source ? null : source);
    for (const finding of findings) for (const line of findingLines(finding, { files })) io.err(line);
    io.err(findingCounts(findings.length, 'finding'));
    return EXIT.no;
  }
  const unwritten = await written(out, await signedBundle(source, head, key));
  if (unwritten !== null) return refusedWith(io, unwritten);
  print(io, { ...head, signers: [key.jwk.kid ?? ''], hash: set.hash, source }, json);
  return EXIT.good;
}

/** Adds a signature to a bundle, and shows what was signed. */
async function cosign(
  io: Io,
  file: string,
  {
    folder,
    key: keyFile,
    out,
    keys: keysFile,
    against,
    json,
  }: {
    readonly folder: string | undefined;
    readonly key: string;
    readonly out: string;
    readonly keys: string | undefined;
    readonly against: string | undefined;
    readonly json: boolean;
  },
): Promise<number> {
  // Read once: what is signed is what was verified.
  const [content, key] = [await bundleFileText(file), await keyAt(keyFile)];
  if (isCommandRefusal(content)) return refusedWith(io, content);
  if (isCommandRefusal(key)) return refusedWith(io, key);
  const before = keysFile === undefined ? null : await signedBundleFrom(content.text, { file, keysFile });
  if (before !== null && isCommandRefusal(before)) return refusedWith(io, before);
  const signed = await cosignedBundle(content.text, key);
  if (isProblem(signed)) return no(io, `\`${file}\` ${signed.problem}`);
  // Verified with the new signature alone. All signatures cover one payload: if it was changed, the others fail at the reader.
  const keys = signingKeysFrom({ keys: [key.jwk] });
  const bundle = isProblem(keys) ? keys : bundleFrom(signed, { keys, name: null, signatures: 1 }, file);
  if (isProblem(bundle)) return no(io, `\`${file}\` ${bundle.problem}`);
  if (folder !== undefined) {
    const own = await policySetAt(folder, undefined);
    if (isCommandRefusal(own)) return refusedWith(io, own);
    if (own.hash !== bundle.hash)
      return no(io, `\`${file}\` has the set ${bundle.hash}, and \`${folder}\` the set ${own.hash}: not signed`);
  }
  const changes = against === undefined ? null : await changesSince(against, bundle, keysFile);
  if (changes !== null && isCommandRefusal(changes)) return refusedWith(io, changes);
  const unwritten = await written(out, signed);
  if (unwritten !== null) return refusedWith(io, unwritten);
  if (changes !== null && !json) for (const line of changeLines(changes)) io.out(printable(line));
  const signers = [...new Set([...(before?.signers ?? []), ...bundle.signers])];
  print(io, { ...bundle, signers }, json, changes);
  return EXIT.good;
}

/** How a bundle differs from the set at a path. */
async function changesSince(
  path: string,
  { source }: Bundle,
  keysFile: string | undefined,
): Promise<SetChanges | CommandRefusal> {
  const former = await policySetAt(path, keysFile);
  if (isCommandRefusal(former)) return former;
  const set = await policySetFrom(source);
  if ('findings' in set) return taskRefusal('the bundle would not load: not signed', EXIT.no);
  return setChanges(former, set);
}

async function check(
  io: Io,
  file: string,
  {
    keys: keysFile,
    name = null,
    signatures,
    json,
  }: {
    readonly keys: string | undefined;
    readonly name: string | undefined | null;
    readonly signatures: string;
    readonly json: boolean;
  },
): Promise<number> {
  if (keysFile === undefined) return refused(io, '`--verify` needs `--keys`');
  if (!isWhole(signatures, MAX_SIGNATURES))
    return refused(io, `\`--signatures\` must be a whole number from 1 to ${MAX_SIGNATURES}`);
  const found = await signedBundleAt(file, keysFile, { name, signatures: Number(signatures) });
  if (isCommandRefusal(found)) return refusedWith(io, found);
  const set = await policySetFrom(found.source);
  if ('findings' in set) {
    for (const finding of set.findings)
      for (const line of findingLines(finding, { files: shownFiles(found.source) })) io.err(line);
    return no(io, `\`${file}\` is signed, and would not load: ${findingCounts(set.findings.length, 'finding')}`);
  }
  if (systemPorts.nowMs() >= found.expiresAtMs)
    return no(io, `\`${file}\` expired at ${new Date(found.expiresAtMs).toISOString()}`);
  print(io, found, json);
  return EXIT.good;
}

async function printPublic(io: Io, file: string, names: readonly string[]): Promise<number> {
  const key = await keyAt(file);
  if (isCommandRefusal(key)) return refusedWith(io, key);
  const scoped = { keys: [names.length === 0 ? key.jwk : { ...key.jwk, bundles: names }] };
  const read = signingKeysFrom(scoped);
  if (isProblem(read)) return refused(io, `the key set ${read.problem}`);
  io.out(JSON.stringify(scoped));
  return EXIT.good;
}

async function keyAt(file: string): Promise<BundleKey | CommandRefusal> {
  const pem = await bundleFileText(file);
  if (isCommandRefusal(pem)) return pem;
  const key = await bundleKeyFrom(pem.text);
  return isProblem(key) ? taskRefusal(`the key \`${file}\` ${key.problem}`) : key;
}

async function written(out: string, bundle: string): Promise<CommandRefusal | null> {
  try {
    await writeFile(out, `${bundle}\n`);
    return null;
  } catch (error) {
    return taskRefusal(`\`${out}\` could not be written: ${errorCode(error) ?? 'unknown error'}`);
  }
}

function print(io: Io, bundle: Bundle, json: boolean, changes: SetChanges | null = null): void {
  const { name, version, serial, hash, source, signers } = bundle;
  const [issuedAt, expiresAt] = [bundle.issuedAtMs, bundle.expiresAtMs].map((ms) => new Date(ms).toISOString());
  const files = source.policies.length;
  if (json)
    io.out(
      JSON.stringify({
        name,
        version,
        serial,
        issuedAt,
        expiresAt,
        hash,
        policyFiles: files,
        signers,
        ...(changes === null ? {} : { changes }),
      }),
    );
  else
    io.out(
      `${name}, version ${version}, serial ${serial}, until ${expiresAt}, ${findingCounts(files, 'policy file')}, set ${hash}, signed by ${signers.join(' and ')}`,
    );
}

const refusedWith = (io: Io, problem: CommandRefusal): number => refusalSaid(io, 'remit policy bundle', problem);

const no = (io: Io, problem: string): number => refusedWith(io, taskRefusal(problem, EXIT.no));

const refused = (io: Io, problem: string): number => refusedWith(io, taskRefusal(problem));
