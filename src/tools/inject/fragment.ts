import { parse } from 'yaml';
import { remitVersion } from '../../core/config/version.ts';

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** A value that an annotation of the pod may choose. */
export interface Setting {
  /** Such as `remit.dev/log-level`. */
  readonly annotation: string;
  readonly byDefault: string;
}

/** An annotation that lists ports, separated by commas, and the port that injection adds to it. */
export interface PortList {
  readonly annotation: string;
  readonly port: string;
}

/** What injection adds to a pod. Its strings may be settings: {@link settingOf}. */
export interface Fragment {
  /** Lists of ports in annotations for Istio, each with the port of Remit. */
  readonly portLists: readonly PortList[];
  /** The native sidecar, named `remit`. */
  readonly container: JsonObject;
  /** Its volumes, each named `remit-…`. */
  readonly volumes: readonly JsonObject[];
  /** The name of a Secret for the registry of the image: a setting, empty for none. */
  readonly pullSecret: Setting;
  /** All settings, in order, each once. */
  readonly settings: readonly Setting[];
}

/** The name of the container. */
export const CONTAINER = 'remit';

/**
 * The containers of Istio that start before Remit if Istio's sidecar is a native sidecar: those that redirect the pod's traffic to Envoy, and
 * Envoy. If Remit started earlier, its calls would be redirected to an Envoy that does not run; so would its last records when the pod ends.
 */
export const MESH_CONTAINERS: readonly string[] = ['istio-init', 'istio-validation', 'istio-proxy'];

/** The sidecar of Istio. If it is a native sidecar, Remit starts after it. If not, Remit must not: each would wait for the other. */
export const MESH_SIDECAR = 'istio-proxy';

/** The label of a pod that asks for injection or refuses it. */
export const INJECT_LABEL = 'remit.dev/inject';

/**
 * Reads the fragment.
 *
 * @param yaml `deploy/inject/pod.yaml`, which is part of this program: anything else throws
 * @param image the image instead of the released image of this version
 */
export function fragmentFrom(yaml: string, { image }: { readonly image?: string | undefined } = {}): Fragment {
  const { spec, metadata } = parse(yaml) as {
    metadata: { annotations: Record<string, string> };
    spec: { initContainers: JsonObject[]; volumes: JsonObject[]; imagePullSecrets: JsonObject[] };
  };
  const [container] = spec.initContainers;
  if (container?.['name'] !== CONTAINER) throw new Error('the fragment has no container `remit`');
  const pullSecret = fragmentSettingOf(spec.imagePullSecrets[0]?.['name']);
  if (pullSecret === null) throw new Error('the fragment has no pull secret');
  return {
    portLists: Object.entries(metadata.annotations).map(([annotation, port]) => ({ annotation, port })),
    container: { ...container, image: image ?? releasedImage(container) },
    volumes: spec.volumes,
    pullSecret,
    settings: settingsIn([container, spec.volumes, spec.imagePullSecrets]),
  };
}

/** The image of a container of a fragment, of this version. */
export function releasedImage({ image }: JsonObject): string {
  if (typeof image !== 'string') throw new Error('the fragment has no image');
  return `${image}:${remitVersion().replace(/\+.*/s, '')}`;
}

/** Parses a setting, written `${annotation:-default}`; `null` for any other value. */
export function fragmentSettingOf(value: Json | undefined): Setting | null {
  const found = typeof value === 'string' ? /^\$\{([a-z./-]+):-([^}]*)\}$/.exec(value) : null;
  return found === null ? null : { annotation: found[1] ?? '', byDefault: found[2] ?? '' };
}

/** The same value with each setting replaced. */
export function filled<T extends Json>(value: T, chosen: (setting: Setting) => string): T;
export function filled(value: Json, chosen: (setting: Setting) => string): Json {
  const setting = fragmentSettingOf(value);
  if (setting !== null) return chosen(setting);
  if (isList(value)) return value.map((entry) => filled(entry, chosen));
  if (!isYamlObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, filled(entry, chosen)]));
}

/** Whether a JSON value is a list. */
export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/** Whether a JSON value is an object. */
export const isYamlObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** All settings in a value, in order, each once. */
export function settingsIn(value: Json): readonly Setting[] {
  const found = new Map<string, Setting>();
  filled(value, (setting) => {
    found.set(setting.annotation, setting);
    return '';
  });
  return [...found.values()];
}
