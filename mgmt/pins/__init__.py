"""What stands in for users' objects of now: rollbacks, and the outputs that gateways get while there are any (design
D2). On the hot path; how rollbacks come about is the matter of `mgmt.history`.
"""
