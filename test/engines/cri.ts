/** A client of the Container Runtime Interface, over a Unix socket. */
import { join } from "node:path";
import { credentials, makeClientConstructor, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** The answers by method, as far as the tests read them. */
interface Answers {
  Version: { readonly runtimeName: string; readonly runtimeVersion: string };
  RunPodSandbox: { readonly podSandboxId: string };
  StopPodSandbox: unknown;
  RemovePodSandbox: unknown;
  PodSandboxStatus: {
    readonly status: {
      readonly state: "SANDBOX_READY" | "SANDBOX_NOTREADY";
      readonly network: { readonly ip: string } | null;
    };
    /** If asked for with `verbose`. */
    readonly info: Readonly<Record<string, string>>;
  };
  ListPodSandbox: { readonly items: readonly { readonly id: string; readonly state: string }[] };
  CreateContainer: { readonly containerId: string };
  StartContainer: unknown;
  StopContainer: unknown;
  RemoveContainer: unknown;
  ContainerStatus: { readonly status: { readonly state: string; readonly exitCode: number } };
  ListContainers: { readonly containers: readonly { readonly state: string }[] };
  ExecSync: { readonly stdout: Buffer; readonly stderr: Buffer; readonly exitCode: number };
  /** `repoTags` are names with their tags; the kubelet is told to leave what is `pinned` on the node. */
  ListImages: { readonly images: readonly { readonly repoTags: readonly string[]; readonly pinned: boolean }[] };
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

  /** Calls one method, with a request that cri.proto describes. */
  call<Name extends keyof Answers>(name: Name, request: object): Promise<Answers[Name]> {
    const method = this.#methods[name];
    if (!method) throw new Error(`cri.proto has no ${name}`);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        (bytes) => method.responseDeserialize(bytes) as Answers[Name],
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
