/** A typed client of the Container Runtime Interface, over a Unix socket. */
import { join } from "node:path";
import { credentials, makeClientConstructor, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** The owner of a namespace. */
export type NamespaceMode = "POD" | "CONTAINER" | "NODE";

/** The namespaces that a pod's settings choose. */
export interface NamespaceOptions {
  readonly network: NamespaceMode;
  readonly pid: NamespaceMode;
  readonly ipc: NamespaceMode;
}

/** A sandbox, as RunPodSandbox and CreateContainer are told. */
export interface PodSandboxConfig {
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string };
  /** Must be empty with the node's network. */
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
  /** The second as the pod names it: CRI-O wants it. */
  readonly image: { readonly image: string; readonly userSpecifiedImage: string };
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
  /** `timeout` in seconds, until it is killed. */
  StopContainer: [{ readonly containerId: string; readonly timeout: number }, Record<never, never>];
  RemoveContainer: [{ readonly containerId: string }, Record<never, never>];
  ContainerStatus: [
    { readonly id: string },
    { readonly status: { readonly state: string; readonly exitCode: number } },
  ];
  ListContainers: [Record<never, never>, { readonly containers: readonly { readonly state: string }[] }];
  ExecSync: [
    { readonly containerId: string; readonly cmd: readonly string[]; readonly timeout: number },
    { readonly stdout: Buffer; readonly stderr: Buffer; readonly exitCode: number },
  ];
  ListImages: [Record<never, never>, { readonly images: readonly CriImage[] }];
}

/** An image as the runtime knows it. */
export interface CriImage {
  /** The digest of its configuration. */
  readonly id: string;
  /** The names it has, with their tags. */
  readonly repoTags: readonly string[];
  /** True if the kubelet is told to leave it on the node. */
  readonly pinned: boolean;
}

/** The longest that one call may take, in seconds: enough for fifty pods on a slow machine. */
const DEADLINE = 120;

/** A connection to one runtime. Errors of the runtime are thrown as gRPC's, whose message names the cause. */
export class Cri implements Disposable {
  readonly #client: InstanceType<ServiceClientConstructor>;
  /** The methods of both services. */
  readonly #methods: ServiceClientConstructor["service"];

  /** Connects to the socket at `path`, on the first call. */
  constructor(path: string) {
    const definition = loadSync(join(import.meta.dir, "cri.proto"), { longs: Number, enums: String, defaults: true });
    const service = (name: string) => definition[`runtime.v1.${name}`] as ServiceClientConstructor["service"];
    this.#methods = { ...service("RuntimeService"), ...service("ImageService") };
    const Client = makeClientConstructor(this.#methods, "RuntimeService");
    this.#client = new Client(`unix://${path}`, credentials.createInsecure());
  }

  /** Calls one method. */
  call<Name extends keyof Methods>(name: Name, request: Methods[Name][0]): Promise<Methods[Name][1]> {
    const method = this.#methods[name];
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
