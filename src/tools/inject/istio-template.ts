import { stringify } from 'yaml';
import { CONTAINER, filled, INJECT_LABEL } from './fragment.ts';
import type { Fragment, JsonObject, Setting } from './fragment.ts';
import type { Fragments } from './fragments.ts';
import { HELPER_ANNOTATION, HELPER_CONTAINER } from './helper-fragment.ts';
import type { HelperFragment } from './helper-fragment.ts';

/** Marks the place of a setting until the YAML is written, so that the template is in no quotes. */
const mark = ({ annotation, byDefault }: Setting): string => `\u2039${annotation}\u203a${byDefault}\u203a`;

/**
 * Helm values of istiod with templates named `remit` and `remit-agent` for its injector, as YAML. A pod asks for them with the annotation
 * `inject.istio.io/templates: sidecar,remit,remit-agent`. Values of annotations are quoted, since a template makes text.
 *
 * @see https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#custom-templates-experimental
 */
export function istioTemplates({ helper, sidecar }: Fragments): string {
  // An annotation in the template would be too late: `istio-init` is made from the annotations of the pod, or from this value if it has none.
  const global = { proxy: { excludeInboundPorts: sidecar.portLists.map(({ port }) => port).join() } };
  const templates = { [CONTAINER]: sidecarTemplate(sidecar), [HELPER_CONTAINER]: helperTemplate(helper) };
  return stringify({ global, sidecarInjectorWebhook: { templates } }, { lineWidth: 0 });
}

const sidecarTemplate = (fragment: Fragment): string =>
  templateOf(`eq (index .ObjectMeta.Labels "${INJECT_LABEL}") "disabled"`, {
    spec: { initContainers: [fragment.container], volumes: fragment.volumes },
    pullSecret: fragment.pullSecret,
  });

/** The container of the service is merged with that of the pod by its name. */
const helperTemplate = ({ container, pullSecret, service, volumes }: HelperFragment): string =>
  templateOf(`not (index .ObjectMeta.Annotations "${HELPER_ANNOTATION}")`, {
    spec: {
      containers: [{ name: `\${${HELPER_ANNOTATION}:-}`, ...service }],
      initContainers: [container],
      volumes,
    },
    pullSecret,
  });

/** A template that adds nothing to a pod for which a condition holds. */
function templateOf(
  isWithout: string,
  { spec, pullSecret }: { readonly spec: JsonObject; readonly pullSecret: Setting },
): string {
  const text = stringify({ spec: filled(spec, mark) }, { lineWidth: 0 }).replace(
    /\u2039([^\u203a]*)\u203a([^\u203a]*)\u203a/g,
    (_all, annotation: string, byDefault: string) =>
      `{{ printf "%q" (or (index .ObjectMeta.Annotations ${JSON.stringify(annotation)}) ${JSON.stringify(byDefault)}) }}`,
  );
  return [
    `{{- if ${isWithout} }}`,
    'spec: {}',
    '{{- else }}',
    text.trimEnd(),
    `{{- with index .ObjectMeta.Annotations ${JSON.stringify(pullSecret.annotation)} }}`,
    '  imagePullSecrets: [{ name: {{ printf "%q" . }} }]',
    '{{- end }}',
    '{{- end }}\n',
  ].join('\n');
}
