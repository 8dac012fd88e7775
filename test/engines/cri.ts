/** A typed client of the Container Runtime Interface, over a Unix socket. */
import { join } from "node:path";
import { credentials, makeClientConstructor, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** Whose a namespace is. */
export type NamespaceMode = "POD" | "CONTAINER" | "NODE";

/** The namespaces that a pod's setting decides on. */
export interface NamespaceOptions {
  readonly network: NamespaceMode;
  readonly pid: NamespaceMode;
  readonly ipc: NamespaceMode;
}

/** What RunPodSandbox is told, and CreateContainer again. */
export interface PodSandboxConfig {
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string };
  /** Must be empty together with the node's network. */
  readonly hostname: string;
  readonly linux: {
    readonly cgroupParent: string;
    readonly securityContext: {
      readonly namespaceOptions: NamespaceOptions;
      readonly seccomp: { readonly profileType: "RuntimeDefault" | "Unconfined" };
    };
  };
}

/** One container of a pod. */
export interface ContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number };
  readonly image: { readonly image: string };
  readonly command: readonly string[];
  readonly linux: { readonly securityContext: { readonly namespaceOptions: NamespaceOptions } };
}

/** Requests and answers, by method. */
interface Methods {
  Version: [Record<never, never>, { readonly runtimeName: string; readonly runtimeVersion: string }];
  RunPodSandbox: [{ readonly config: PodSandboxConfig }, { readonly podSandboxId: string }];
  StopPodSandbox: [{ readonly podSandboxId: string }, Record<never, never>];
  RemovePodSandbox: [{ readonly podSandboxId: string }, Record<never, never>];
  PodSandboxStatus: [
    { readonly id: string; readonly verbose?: boolean },
    {
      readonly status: {
        readonly state: "SANDBOX_READY" | "SANDBOX_NOTREADY";
        readonly network: { readonly ip: string } | null;
      };
      readonly info: Readonly<Record<string, string>>;
    },
  ];
  ListPodSandbox: [
    Record<never, never>,
    { readonly items: readonly { readonly id: string; readonly state: string }[] },
  ];
  CreateContainer: [
    { readonly podSandboxId: string; readonly config: ContainerConfig; readonly sandboxConfig: PodSandboxConfig },
    { readonly containerId: string },
  ];
  StartContainer: [{ readonly containerId: string }, Record<never, never>];
  RemoveContainer: [{ readonly containerId: string }, Record<never, never>];
  ContainerStatus: [
    { readonly id: string; readonly verbose?: boolean },
    {
      readonly status: { readonly state: string; readonly exitCode: number };
      readonly info: Readonly<Record<string, string>>;
    },
  ];
  ExecSync: [
    { readonly containerId: string; readonly cmd: readonly string[]; readonly timeout: number },
    { readonly stdout: Buffer; readonly stderr: Buffer; readonly exitCode: number },
  ];
}

/** How long one call may take: seconds enough for fifty pods on a slow machine. */
const DEADLINE = 120;

/** A connection to one runtime. Errors of the runtime are thrown as gRPC's, whose message names the cause. */
export class Cri implements Disposable {
  readonly #client: InstanceType<ServiceClientConstructor>;
  readonly #service: ServiceClientConstructor["service"];

  /** Connects to the socket at `path`, on the first call. */
  constructor(path: string) {
    const definition = loadSync(join(import.meta.dir, "cri.proto"), { longs: Number, enums: String, defaults: true });
    this.#service = definition["runtime.v1.RuntimeService"] as ServiceClientConstructor["service"];
    const Client = makeClientConstructor(this.#service, "RuntimeService");
    this.#client = new Client(`unix://${path}`, credentials.createInsecure());
  }

  /** Calls one method. */
  call<Name extends keyof Methods>(name: Name, request: Methods[Name][0]): Promise<Methods[Name][1]> {
    const method = this.#service[name];
    if (!method) throw new Error(`cri.proto has no ${name}`);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        (bytes) => method.responseDeserialize(bytes) as Methods[Name][1],
        request,
        { deadline: Date.now() + DEADLINE * 1000 },
        (error, answer) => (error || !answer ? reject(error ?? new Error(`${name}: no answer`)) : resolve(answer)),
      );
    });
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.#client.close();
  }
}
