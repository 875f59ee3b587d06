import { parse } from 'yaml';
import { fragmentSettingOf, isYamlObject, releasedImage, settingsIn } from './fragment.ts';
import type { JsonObject, Setting } from './fragment.ts';

/** The name of the container of the helper of a service. */
export const HELPER_CONTAINER = 'remit-agent';

/** The annotation of a pod that asks for a helper: the name of the container of the service. */
export const HELPER_ANNOTATION = 'remit.dev/agent';

/** The annotation with its upstreams, as `--forward` takes them, separated by spaces. */
export const FORWARD_ANNOTATION = 'remit.dev/agent-forward';

/** What injection adds to a pod whose annotation asks for a helper. Its strings may be settings. */
export interface HelperFragment {
  /** The native sidecar, named `remit-agent`. */
  readonly container: JsonObject;
  /** Its volumes, each named `remit-agent…`. */
  readonly volumes: readonly JsonObject[];
  /** What the container of the service gets: variables, and the mount of the folder of the helper. */
  readonly service: { readonly env: readonly JsonObject[]; readonly volumeMounts: readonly JsonObject[] };
  readonly pullSecret: Setting;
  /** The user of the container. Its folder has mode 0700, so root and this user alone can use it. */
  readonly user: number;
  /** All settings, each once. */
  readonly settings: readonly Setting[];
}

/**
 * Reads the fragment.
 *
 * @param yaml `deploy/inject/agent.yaml`, which is part of this program: anything else throws
 * @param image the image instead of the released image of this version
 */
export function helperFragmentFrom(
  yaml: string,
  { image }: { readonly image?: string | undefined } = {},
): HelperFragment {
  const { spec } = parse(yaml) as {
    spec: {
      containers: (HelperFragment['service'] & { readonly name: string })[];
      initContainers: JsonObject[];
      volumes: JsonObject[];
      imagePullSecrets: JsonObject[];
    };
  };
  const [container] = spec.initContainers;
  const [service] = spec.containers;
  const pullSecret = fragmentSettingOf(spec.imagePullSecrets[0]?.['name']);
  if (container?.['name'] !== HELPER_CONTAINER || service === undefined || pullSecret === null)
    throw new Error('the fragment of the helper is not complete');
  const { securityContext } = container;
  const user = isYamlObject(securityContext) ? securityContext['runAsUser'] : null;
  if (typeof user !== 'number') throw new Error('the fragment of the helper has no user');
  return {
    container: { ...container, image: image ?? releasedImage(container) },
    volumes: spec.volumes,
    service: { env: service.env, volumeMounts: service.volumeMounts },
    pullSecret,
    user,
    settings: settingsIn([service.name, container, spec.volumes, spec.imagePullSecrets]),
  };
}
