/** `remit inject`: add the Remit sidecar to Kubernetes workloads. */
import { productFile } from '../core/runtime/system/product-file.ts';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fragmentFrom } from '../tools/inject/fragment.ts';
import type { Fragments } from '../tools/inject/fragments.ts';
import { helperFragmentFrom } from '../tools/inject/helper-fragment.ts';
import { helperPolicy } from '../tools/inject/helper-policy.ts';
import { guardPolicy } from '../tools/inject/guard-policy.ts';
import { injectedInto, MAX_MANIFEST_BYTES } from '../tools/inject/inject.ts';
import type { InjectionOutcome } from '../tools/inject/inject.ts';
import { injectionPolicy } from '../tools/inject/injection-policy.ts';
import { istioTemplates } from '../tools/inject/istio-template.ts';
import { helperKustomization, kustomization } from '../tools/inject/kustomization.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

const help = `remit inject: add the Remit sidecar to Kubernetes workloads

usage: remit inject -f FILE|- [--image IMAGE]
       remit inject --print policy|guard|istio|kustomize|kustomize-agent [--image IMAGE]

  -f, --file FILE|-   manifests: YAML documents or JSON, with Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs, Pods
                      and Lists of them; \`-\` reads standard input
  --image IMAGE       the image, best by digest; default ghcr.io/remit-dev/remit of this version
  --print policy      the MutatingAdmissionPolicies that inject in the cluster (Kubernetes 1.36)
  --print guard       the ValidatingAdmissionPolicies that refuse a sidecar that is not this one
  --print istio       templates for the injector of Istio, as Helm values of istiod
  --print kustomize   a Kustomize component; kustomize-agent: another for the helper of a service

Prints the manifests with a native sidecar \`remit\`, before other init containers, and its volumes. Objects that are no workloads, and
workloads with the label \`remit.dev/inject: disabled\`, are printed as they are. What became of each object is printed on standard error.
Injecting again changes nothing.

A pod whose annotation \`remit.dev/agent\` names a container also gets \`remit agent\` beside that service, as the native sidecar
\`remit-agent\`, whatever its label says; \`remit.dev/agent-forward\` names its upstreams. That container must run as user 65532 or root.

  remit inject -f app.yaml | kubectl apply -f -
  kubectl get deployment web -o yaml | remit inject -f - | kubectl apply -f -
  remit inject --print policy --image ghcr.io/remit-dev/remit@sha256:… | kubectl apply -f -

exit codes: 0 success, 2 bad use, an unreadable file or invalid YAML; then nothing is printed`;

/** `remit inject`. */
export const injectCommand: Command = { name: 'inject', help, run: inject };

const FRAGMENT = productFile('deploy/inject/pod.yaml');
const HELPER_FRAGMENT = productFile('deploy/inject/agent.yaml');

const PRINTED: ReadonlyMap<string, (fragments: Fragments) => string> = new Map([
  ['policy', ({ helper, sidecar }) => [injectionPolicy(sidecar), helperPolicy(helper)].join('---\n')],
  ['guard', guardPolicy],
  ['istio', istioTemplates],
  ['kustomize', ({ sidecar }) => kustomization(sidecar)],
  ['kustomize-agent', ({ helper }) => helperKustomization(helper)],
]);

const OUTCOME_TEXTS: Readonly<Record<InjectionOutcome['kind'], string>> = {
  injected: 'injected',
  current: 'has it already',
  'opted-out': 'skipped: it has the label `remit.dev/inject: disabled`',
  'no-pod': 'skipped: it is no workload',
};

type Io = Pick<CommandIo, 'out' | 'err' | 'stdin'>;

async function inject(args: readonly string[], io: Io): Promise<number> {
  const string = { type: 'string' } as const;
  const options = optionsFrom(args, { file: { ...string, short: 'f' }, image: string, print: string }, 0);
  if (typeof options === 'string') return refused(io, 'remit inject', options);
  const { file, image, print } = options.values;
  if ((file === undefined) === (print === undefined))
    return refused(io, 'remit inject', 'name either `-f FILE` or `--print`');
  if (image !== undefined && !/^[\w][\w.:/@-]{0,511}$/.test(image))
    return refused(io, 'remit inject', `invalid image ${JSON.stringify(image)}`);
  const fragments: Fragments = {
    sidecar: fragmentFrom(await readFile(FRAGMENT, 'utf8'), { image }),
    helper: helperFragmentFrom(await readFile(HELPER_FRAGMENT, 'utf8'), { image }),
  };
  if (print !== undefined) {
    const render = PRINTED.get(print);
    if (render === undefined)
      return refused(
        io,
        'remit inject',
        `\`--print\` takes ${[...PRINTED.keys()].join(', ')}; got ${JSON.stringify(print)}`,
      );
    io.out(render(fragments).trimEnd());
    return EXIT.good;
  }
  const text = await manifestText(file ?? '', io);
  if ('problem' in text) return refused(io, 'remit inject', text.problem);
  const result = injectedInto(text.text, fragments);
  if ('problems' in result) {
    const at = file === '-' ? 'standard input' : file;
    for (const { line, message } of result.problems)
      io.err(`remit inject: ${at}${line === 0 ? '' : `:${line}`}: ${message}`);
    return EXIT.bad;
  }
  for (const { object, kind, warnings } of result.outcomes) {
    io.err(`${object}: ${OUTCOME_TEXTS[kind]}`);
    for (const warning of warnings) io.err(`${object}: warning: ${warning}`);
  }
  if (!result.outcomes.some(({ kind }) => kind === 'injected' || kind === 'current')) io.err('nothing to inject');
  io.out(result.text.replace(/\n$/, ''));
  return EXIT.good;
}

/** The text of a file or of standard input; a problem as soon as more than `MAX_MANIFEST_BYTES` were read. */
async function manifestText(file: string, io: Io): Promise<{ readonly text: string } | { readonly problem: string }> {
  const shown = file === '-' ? 'standard input' : `\`${file}\``;
  try {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of file === '-' ? (io.stdin?.() ?? []) : createReadStream(file)) {
      const piece = chunk as Uint8Array;
      bytes += piece.length;
      if (bytes > MAX_MANIFEST_BYTES) return { problem: `${shown} is larger than ${MAX_MANIFEST_BYTES} bytes` };
      chunks.push(piece);
    }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return {
      problem:
        code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? `${shown} must be valid UTF-8` : `${shown}: ${code ?? message}`,
    };
  }
}
