import type { Cluster } from './cluster.ts';

interface State {
  readonly reason?: string;
  readonly message?: string;
  readonly exitCode?: number;
}

interface ContainerStatus {
  readonly name: string;
  readonly state: Readonly<Record<string, State>>;
  readonly lastState: Readonly<Record<string, State>>;
}

interface SeenPod {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

interface SeenEvent {
  readonly involvedObject: { readonly name: string };
  readonly type: string;
  readonly message: string;
}

/**
 * What became of pods, by name: what each container said (`said: …` in its log), for what it waits and how it ended, then what the kubelet warned
 * of. It needs three requests, for any number of pods.
 *
 * @param selector their labels
 */
export async function whatBecameOf(
  cluster: Cluster,
  namespace: string,
  selector: string,
): Promise<ReadonlyMap<string, string>> {
  const get = async (words: string) => JSON.parse(await cluster.kubectl(`-n ${namespace} get ${words} -o json`)).items;
  const logs = ['logs', '-l', selector, '--all-containers', '--prefix', '--tail=-1', '--max-log-requests=200'];
  const [pods, events, said]: [readonly SeenPod[], readonly SeenEvent[], string] = await Promise.all([
    get(`pods -l ${selector}`),
    get('events'),
    // It fails for containers that have not started, after what others said.
    cluster.tried(['kubectl', '-n', namespace, ...logs, '--ignore-errors']).then(({ stdout }) => stdout),
  ]);
  return new Map(
    pods.map(({ metadata: { name }, status }) => {
      const words = [...said.matchAll(/^\[pod\/([^/]+)\/(\S+)\] (said: .*)$/gm)]
        .filter(([, pod]) => pod === name)
        .map(([, , container = '', text = '']) => `${container} ${text}`);
      const states = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].flatMap(stateOf);
      const warnings = events
        .filter(({ involvedObject, type }) => involvedObject.name === name && type === 'Warning')
        .map(({ message }) => message);
      return [name, [...new Set([...words, ...states, ...warnings])].join('\n')];
    }),
  );
}

function stateOf({ lastState, name, state }: ContainerStatus): readonly string[] {
  const ended = [state['terminated'], lastState['terminated']].flatMap((one) =>
    one === undefined ? [] : [`${name} ended: ${one.message ?? `${one.reason ?? ''} ${one.exitCode ?? ''}`}`],
  );
  const { waiting } = state;
  return waiting === undefined ? ended : [...ended, `${name}: ${[waiting.reason, waiting.message].join(' ').trim()}`];
}
