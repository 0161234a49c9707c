"""A node that runs pods as ordinary processes of the user who starts it: no root, no container runtime, NO ISOLATION.

It stands in for kubelet and a container runtime on a developer's machine, so that everything above it can be the real
Kubernetes. It tells the truth: states, exit codes, events and logs are those of the processes, and a pod that asks for
what the node cannot do is refused by an event and a failed phase that name it. What "cannot do" means is written in
`spec`, how volumes appear without mounts in `rewrite`.

A pod's process can see and do whatever the user can, sees all other pods' processes and files, and shares the
machine's network: two pods that listen on 0.0.0.0 with the same port are in each other's way (each has a loopback
address of its own to listen on). There is no cluster DNS and no Service address.
"""
