package debian

import "imgbuild/builder/debian/resolve"

// leaves tells which packages of a generation go into its leaf layer: those
// that no other package of the generation depends on, alone or as a circle
// of packages that depend on each other. Essential packages never do. graph
// lists, for each package, the packages that it depends on; the answer is a
// function of the graph alone, so that it does not move with versions.
func leaves(packages []*resolve.Version, graph [][]int) []bool {
	component := components(graph)
	isLeaf := make(map[int]bool)
	for i := range packages {
		isLeaf[component[i]] = true
	}
	for i, p := range packages {
		if p.Essential {
			isLeaf[component[i]] = false
		}
		for _, j := range graph[i] {
			if component[i] != component[j] {
				isLeaf[component[j]] = false
			}
		}
	}
	answer := make([]bool, len(packages))
	for i := range packages {
		answer[i] = isLeaf[component[i]]
	}
	return answer
}

// components numbers the strongly connected components of a graph (Tarjan,
// SIAM J. Comput. 1, 1972) and returns the number of each vertex.
func components(graph [][]int) []int {
	const unseen = 0
	index := make([]int, len(graph)) // order of discovery, from 1
	low := make([]int, len(graph))
	component := make([]int, len(graph))
	onStack := make([]bool, len(graph))
	var stack []int
	next, count := 1, 0
	var visit func(v int)
	visit = func(v int) {
		index[v], low[v] = next, next
		next++
		stack, onStack[v] = append(stack, v), true
		for _, w := range graph[v] {
			if index[w] == unseen {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if onStack[w] {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		for {
			w := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			onStack[w], component[w] = false, count
			if w == v {
				break
			}
		}
		count++
	}
	for v := range graph {
		if index[v] == unseen {
			visit(v)
		}
	}
	return component
}
